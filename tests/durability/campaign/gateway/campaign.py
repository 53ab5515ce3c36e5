"""The campaign of the gateway."""

from __future__ import annotations

from functools import partial

from tests.durability.campaign.gateway.checks import compare_calls
from tests.durability.campaign.gateway.controls import CONTROLS
from tests.durability.campaign.gateway.rounds import make_gateway_site, run_chaos
from tests.durability.campaign.nouns import POSTGRESQL, SQLITE, Campaign, Round

SHORT_S, LONG_S = 5.0, 180.0

ROUNDS = (
    Round("chaos", SQLITE, partial(run_chaos, seconds=SHORT_S)),
    Round("chaos", POSTGRESQL, partial(run_chaos, seconds=SHORT_S)),
    Round("long chaos", SQLITE, partial(run_chaos, seconds=LONG_S)),
)

CAMPAIGN = Campaign("gateway", ROUNDS, CONTROLS, make_gateway_site, compare_calls)
