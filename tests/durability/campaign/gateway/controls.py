"""Negative controls: broken gateways of which the comparison must say what they do."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any
from unittest.mock import patch

from bandit_router.gateway.arms import ArmPool
from bandit_router.gateway.call import Call
from bandit_router.gateway.gateway import Gateway
from tests.durability.campaign.gateway.clients import clients_of
from tests.durability.campaign.gateway.rounds import age_open_calls, upstreams_of
from tests.durability.campaign.nouns import SQLITE, Control, Site
from tests.in_process import serving_in_process

_SECONDS = 1.0


def account_twice(site: Site) -> None:
    """A gateway that reports the cost of each call once more, as one does that retries its accounts."""
    account = Call._account

    async def account_again(call: Call, *arguments: Any) -> None:
        await account(call, *arguments)
        await call._services.router.feedback(call.record.decision.id, cost_usd=0.001)

    with patch.object(Call, "_account", account_again):
        _serve_clients(site)


def never_sweep(site: Site) -> None:
    """A gateway that leaves open what a killed worker left: here one that died before each account."""

    async def wait_forever(*_: object) -> None:
        await asyncio.Event().wait()

    async def die(*_: object) -> None:
        pass

    with patch.object(Gateway, "_sweep", wait_forever):
        with patch.object(Call, "_account", die):
            _serve_clients(site)
        age_open_calls(site.url)
        with serving_in_process(site.config):
            pass


def mix_arms_up(site: Site) -> None:
    """A gateway that calls another arm than the one it decided on."""
    open_all = ArmPool._open_all

    def open_in_reverse(pool: ArmPool) -> None:
        open_all(pool)
        pool.arms = dict(zip(pool.arms, reversed(pool.arms.values()), strict=True))

    with patch.object(ArmPool, "_open_all", open_in_reverse):
        _serve_clients(site)


def _serve_clients(site: Site) -> None:
    rng = random.Random(1)
    with (
        upstreams_of(site, rng),
        serving_in_process(site.config) as (url, _),
        clients_of(url, site.told, rng.getrandbits(32)),
    ):
        time.sleep(_SECONDS)


CONTROLS = (
    Control(
        "a gateway that accounts each call twice",
        SQLITE,
        account_twice,
        lambda findings: any("is accounted 2 times" in line for line in findings.doubled),
    ),
    Control(
        "a gateway that never sweeps the calls of killed workers",
        SQLITE,
        never_sweep,
        lambda findings: any("has not ended" in line for line in findings.problems),
    ),
    Control(
        "a gateway that calls another arm than it credits",
        SQLITE,
        mix_arms_up,
        lambda findings: any("which no call says" in line for line in findings.problems),
    ),
)
