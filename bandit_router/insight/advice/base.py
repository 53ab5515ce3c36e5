"""What advice is given from, and what a piece of advice is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bandit_router.insight.intervals import Estimate, estimate_mean, estimate_share
from bandit_router.insight.savings import BlindMixContrast
from bandit_router.insight.table import Dimension, Group, Table, Totals, tabulate
from bandit_router.learning.drift import CalibrationReport
from bandit_router.settings import Settings
from bandit_router.store.rollups.measures import DECISIONS
from bandit_router.store.rollups.reader import UNDIVIDED, RollupRow
from bandit_router.types import Arm, Reason

ADVICE_DAYS = 14
"""Advice is given from the decisions of so many days."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """One change to make: what was seen, the figure that shows it, the exact change, and what it would do.

    ``effect`` is None where the log cannot say.
    """

    name: str
    title: str
    evidence: str
    change: str
    effect: str | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The roll-ups of :data:`ADVICE_DAYS` by arm and reason, the settings in force, and the enabled arms.

    ``epsilon`` is the policy's floor of exploration, None if it has none. ``calibration`` compares the newest
    rewards with what was expected of them, None where nobody has looked. ``blind_mix`` compares the router
    with its own shares of models, None where nothing is estimated. ``task_rows`` are the same days by task.
    """

    table: Table
    settings: Settings
    arms: Sequence[Arm]
    epsilon: float | None = None
    calibration: CalibrationReport | None = None
    blind_mix: BlindMixContrast | None = None
    task_rows: Sequence[RollupRow] = ()

    @cached_property
    def by_arm(self) -> Table:
        """The same sums by arm, for whatever reason."""
        return self.table.regroup(without=[Dimension.REASON])

    @cached_property
    def chosen(self) -> Table:
        """The decisions of the policy, by arm."""
        return self.table.restrict(reasons=[Reason.POLICY]).regroup(without=[Dimension.REASON])

    @cached_property
    def by_cost(self) -> list[str]:
        """The enabled arms that have calls with costs, the cheapest a request first."""
        costs = {arm.name: self.mean(arm.name, "cost_usd") for arm in self.arms}
        known = {name: cost.value for name, cost in costs.items() if cost.value is not None}
        return sorted(known, key=lambda name: known[name])

    @cached_property
    def by_task(self) -> Table:
        """The sums by task and arm."""
        return tabulate(self.task_rows, (Dimension.ARM, Dimension.MEMBER), step=UNDIVIDED, now=self.table.now)

    def totals(self, arm: str, measure: str) -> Totals:
        """The sums of a measure over all decisions with an arm."""
        return self.by_arm.totals(Group(arm=arm), measure)

    def mean(self, arm: str, measure: str) -> Estimate:
        """The mean of a measure over all decisions with an arm."""
        totals = self.totals(arm, measure)
        return estimate_mean(totals.count, totals.total, totals.squares)

    def sum(self, measure: str) -> Totals:
        """The sums of a measure over all decisions."""
        return self.table.regroup(without=list(Dimension)).totals(Group(), measure)

    @cached_property
    def choices(self) -> int:
        """The number of decisions of the policy."""
        return sum(self.chosen.count(group, DECISIONS) for group in self.chosen)

    def share_of(self, arm: str) -> Estimate:
        """The share of an arm in the decisions of the policy."""
        return estimate_share(self.chosen.count(Group(arm=arm), DECISIONS), self.choices)


def describe(estimate: Estimate, unit: str = "") -> str:
    """An estimate in words: ``0.62 (95% interval 0.58 to 0.66, n 431)``."""
    assert estimate.value is not None
    value = f"{estimate.value:.3g}{unit}"
    if estimate.low is None or estimate.high is None:
        return f"{value} (n {estimate.n})"
    return f"{value} (95% interval {estimate.low:.3g} to {estimate.high:.3g}, n {estimate.n})"
