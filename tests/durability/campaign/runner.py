"""Runs a campaign: its controls, then its rounds in turn until time is up, and a comparison after each."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator

from tests.durability.campaign.nouns import Campaign, Control, Result, Round, Site, Tally
from tests.durability.campaign.sites import Sites


def run_campaign(campaign: Campaign, sites: Sites, rng: random.Random, seconds: float) -> Result:
    """Run every round once, however long that takes; after that, none begins that may outlast the time."""
    end, longest_s = time.monotonic() + seconds, 0.0
    controls = {
        control.name: run_control(campaign, control, sites.make(control.backend, campaign.make_site))
        for control in campaign.controls
    }
    tallies: dict[str, Tally] = defaultdict(Tally)
    for number, one in enumerate(_order_rounds(campaign, rng)):
        began = time.monotonic()
        if number >= len(campaign.rounds) and began + longest_s > end:
            break
        site = sites.get(one.backend, campaign.make_site)
        if not run_round(campaign, one, site, rng, tallies[one.kind]):
            sites.retire(one.backend, campaign.make_site)
        took_s = time.monotonic() - began
        longest_s = max(longest_s, took_s)
        print(f"{campaign.name} {number + 1}: {one.kind}, {one.backend}, {took_s:.1f} s", file=sys.stderr)
    return Result(campaign.name, dict(tallies), controls)


def _order_rounds(campaign: Campaign, rng: random.Random) -> Iterator[Round]:
    """All rounds as they stand, then all of them in another order, again and again."""
    yield from campaign.rounds
    while campaign.rounds:
        yield from rng.sample(campaign.rounds, len(campaign.rounds))


def run_round(campaign: Campaign, one: Round, site: Site, rng: random.Random, tally: Tally) -> bool:
    """Run a round and compare; whether nothing is wrong."""
    before = site.told.read()
    problems: list[str] = []
    try:
        one.run(site, rng)
    except Exception as error:  # a campaign goes on, and says at the end what went wrong
        traceback.print_exc()
        problems.append(f"{one.kind}, {one.backend}: {error!r}")
    after = site.told.read()
    findings = campaign.compare(site.config, after)
    lost = findings.lost_decisions + findings.lost_feedback
    problems += [f"{site.folder.name}: {line}" for line in (lost + findings.doubled + findings.problems)[:5]]
    tally.rounds += 1
    tally.decisions += len(after.decisions) - len(before.decisions)
    tally.feedback += sum(after.stages.values()) - sum(before.stages.values())
    tally.refusals += after.refusals - before.refusals
    tally.lost += len(lost)
    tally.doubled += len(findings.doubled)
    tally.problems += problems
    tally.figures += after.figures[len(before.figures) :]
    return not problems


def run_control(campaign: Campaign, control: Control, site: Site) -> bool:
    """Whether the comparison finds what the broken part does."""
    control.run(site)
    return control.is_found(campaign.compare(site.config, site.told.read()))
