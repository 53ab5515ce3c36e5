"""Advice on money: a budget that buys nothing more, prices in the file that are not those of the list."""

from __future__ import annotations

from collections.abc import Iterator

from bandit_router.insight.advice.base import Advice, Facts, describe
from bandit_router.insight.intervals import estimate_mean
from bandit_router.settings.arms import ArmSection
from bandit_router.settings.prices import Prices
from bandit_router.store.rollups.measures import COST_WEIGHT

_LEAST_DECISIONS = 200
_HEADROOM = 1.1
_NEAR_ZERO = 1e-9
_TOLERANCE = 0.05
"""The largest relative difference of two prices that counts as none."""


def find_idle_budget(facts: Facts) -> Iterator[Advice]:
    """A budget under which cost never weighs anything: more money would change no choice."""
    limit = facts.settings.budget.usd_per_request
    weights, costs = facts.sum(COST_WEIGHT), facts.sum("cost_usd")
    spent = estimate_mean(costs.count, costs.total, costs.squares)
    if limit is None or spent.value is None or spent.value * _HEADROOM >= limit:
        return
    if weights.count < _LEAST_DECISIONS or weights.total > _NEAR_ZERO:
        return
    yield Advice(
        name="idle_budget",
        title="The budget buys nothing more",
        evidence=f"Under usd_per_request = {limit:g} the mean cost is {describe(spent, ' USD')}, and "
        f"λ is 0 in all of {weights.count} decisions.",
        change=f"[budget]\nusd_per_request = {spent.value * _HEADROOM:.2g}",
        effect="No choice would have been another; the cap is nearer to what you spend.",
    )


def find_other_prices(facts: Facts) -> Iterator[Advice]:
    """Prices of router.toml that differ by more than 5% from the list's for the same provider and model."""
    enabled = {arm.name for arm in facts.arms}
    for section in facts.settings.arms:
        if section.name in enabled:
            yield from _compare_prices(section)


def _compare_prices(section: ArmSection) -> Iterator[Advice]:
    different = {
        kind: (own, usual)
        for kind, own, usual in _read_both_prices(section)
        if abs(own - usual) > _TOLERANCE * usual
    }
    if not different:
        return
    seen = (
        f"{own:g} USD per million tokens of {kind}, {usual:g} in the list"
        for kind, (own, usual) in different.items()
    )
    right = (f"{kind}_usd_per_mtok = {usual:g}" for kind, (_, usual) in different.items())
    yield Advice(
        name="other_prices",
        title=f"The prices of {section.name} are not those of genai-prices",
        evidence=f"{'; '.join(seen)}.",
        change="\n".join(["[[arms]]", f'name = "{section.name}"', *right]),
    )


def _read_both_prices(section: ArmSection) -> Iterator[tuple[str, float, float]]:
    """Kind, price in the file and price in the list, where there are both."""
    prices = section.prices()
    listed = Prices(provider=prices.provider, model=prices.model, base_url=prices.base_url, own={})
    for kind in ("input", "output"):
        if kind in prices.own:
            try:
                yield kind, prices.own[kind], listed.find_rate(kind)
            except LookupError:
                return
