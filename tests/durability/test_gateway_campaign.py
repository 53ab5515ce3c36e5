"""A short form of the gateway's campaign: one round of chaos, and its negative controls."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.durability.campaign.gateway.campaign import CAMPAIGN, ROUNDS
from tests.durability.campaign.gateway.controls import CONTROLS
from tests.durability.campaign.nouns import Control, Site, Tally
from tests.durability.campaign.runner import run_control, run_round


@pytest.fixture
def site(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    site = CAMPAIGN.make_site(tmp_path, sqlite_url)
    with closing(site.told):
        yield site


def test_every_call_is_accounted_once_whoever_fails_leaves_or_is_killed(site: Site) -> None:
    tally = Tally()
    assert run_round(CAMPAIGN, ROUNDS[0], site, random.Random(1), tally), tally.problems
    assert tally.ok
    assert tally.decisions > 0


@pytest.mark.parametrize("control", CONTROLS, ids=[control.name for control in CONTROLS])
def test_a_broken_gateway_is_reported(site: Site, control: Control) -> None:
    assert run_control(CAMPAIGN, control, site)
