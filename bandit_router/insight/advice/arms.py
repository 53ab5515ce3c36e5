"""Advice on arms: a cheap one that answers badly, a dear one that is no better, one that is never best."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bandit_router.insight.advice.base import Advice, Facts, describe
from bandit_router.insight.intervals import Estimate, estimate_share
from bandit_router.insight.table import Group
from bandit_router.posterior.latency import find_bin
from bandit_router.store.rollups.measures import DECISIONS, EXPLORATION_PRICE

USUAL_MIN_QUALITY = 0.5
"""The quality below which an answer counts as bad, unless ``router.min_quality`` is set."""

POOR_SHARE = 0.3
MARGIN = 0.02
"""A difference of quality that is not worth paying for."""

_LEAST_RATED = 30
_LEAST_DECISIONS = 1_000


def find_poor_cheap_arm(facts: Facts) -> Iterator[Advice]:
    """More than 30% of the cheapest arm's rated answers are bad: the interval lies above that."""
    if len(facts.by_cost) < 2:
        return
    cheap, *others = facts.by_cost
    least = facts.settings.router.min_quality or USUAL_MIN_QUALITY
    poor = share_below(facts, cheap, least)
    if poor.n < _LEAST_RATED or poor.low is None or poor.low <= POOR_SHARE:
        return
    best = max((facts.mean(name, "quality") for name in others), key=lambda mean: mean.value or 0.0)
    yield Advice(
        name="poor_cheap_arm",
        title=f"{cheap} answers badly too often",
        evidence=f"The share of its rated answers with a quality below {least:g} is {describe(poor)}.",
        change=_ask_for_quality(facts, least),
        effect=f"The best other arm has a mean quality of {describe(best)} on what it gets."
        if best.n
        else None,
    )


def find_dear_arm_no_better(facts: Facts) -> Iterator[Advice]:
    """The dearest arm is not better than the cheapest on what each gets, by more than 0.02, beyond doubt."""
    if len(facts.by_cost) < 2:
        return
    cheap, dear = facts.by_cost[0], facts.by_cost[-1]
    gain = subtract(facts.mean(dear, "quality"), facts.mean(cheap, "quality"))
    if gain.n < _LEAST_RATED or gain.high is None or gain.high > MARGIN:
        return
    spare_usd = (facts.mean(dear, "cost_usd").value or 0.0) - (facts.mean(cheap, "cost_usd").value or 0.0)
    n = facts.totals(dear, DECISIONS).count
    yield Advice(
        name="dear_arm_no_better",
        title=f"{dear} costs more than {cheap} and is no better on what it gets",
        evidence=f"Its mean quality less that of {cheap} is {describe(gain)}.",
        change=f"bandit-router arms disable {dear}",
        effect=f"Its {n} decisions at the cost of {cheap} would have saved {spare_usd * n:.3g} USD.",
    )


def find_arm_never_best(facts: Facts) -> Iterator[Advice]:
    """An arm that the policy takes at most twice as often as its floor of exploration does."""
    if facts.choices < _LEAST_DECISIONS or len(facts.arms) < 2 or not facts.epsilon:
        return
    floor = facts.epsilon / len(facts.arms)
    for arm in facts.arms:
        share = facts.share_of(arm.name)
        if share.high is not None and share.high <= 2.0 * floor:
            price = facts.chosen.totals(Group(arm=arm.name), EXPLORATION_PRICE)
            yield Advice(
                name="arm_never_best",
                title=f"{arm.name} is chosen only to explore",
                evidence=f"Its share of the policy's decisions is {describe(share)}; "
                f"exploration alone gives it {floor:.3g}.",
                change=f"bandit-router arms disable {arm.name}",
                effect=f"Exploring it gave up an expected reward of {price.total:.3g} in all.",
            )


def share_below(facts: Facts, arm: str, quality: float) -> Estimate:
    """The share of an arm's rated answers below a quality, by the bins of roll-ups: within 5% of it."""
    totals = facts.totals(arm, "quality")
    below = 0 if totals.bins is None else int(totals.bins[: find_bin(quality)].sum())
    return estimate_share(below, totals.count)


def subtract(a: Estimate, b: Estimate) -> Estimate:
    """a − b, whose interval adds the squares of their half-widths; ``n`` is the smaller one."""
    n = min(a.n, b.n)
    if a.value is None or b.value is None or a.high is None or b.high is None:
        return Estimate(n)
    value, half = a.value - b.value, math.hypot(a.high - a.value, b.high - b.value)
    return Estimate(n, value, value - half, value + half)


def _ask_for_quality(facts: Facts, least: float) -> str:
    """The setting to change: ask for a quality, or, where one is asked for already, weigh cost less."""
    if facts.settings.router.min_quality == 0.0:
        return f"[router]\nmin_quality = {least:g}"
    return f"[router]\ncost_weight = {facts.settings.router.cost_weight / 2.0:g}"
