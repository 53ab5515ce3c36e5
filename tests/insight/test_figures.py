"""Every figure equals what is computed from the raw decisions, with scipy's intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bandit_router.insight.figures import FIGURES, Point
from bandit_router.insight.figures.coverage import find_usual_delay_s
from bandit_router.insight.table import Dimension, Group, Table, tabulate
from tests.insight.examples import FAULTS, HOUR, Made, make_log, roll_up

LOG = make_log()
NOW = 3600.0 * (HOUR + 48) + 600.0
BINS = 0.025
"""How far a quantile may be off, for it is read off bins."""

Numbers = tuple[float, float | None, float | None]
Oracle = Callable[[Sequence[Made], Sequence[Made]], tuple[Numbers, float] | None]
"""Value and interval of a group of decisions, and the relative tolerance; the second argument is all
decisions of its time."""


def values(decisions: Sequence[Made], measure: str) -> list[float]:
    return [made.values[measure] for made in decisions if measure in made.values]


def wilson(k: float, n: int) -> Numbers:
    return k / n, *stats.binomtest(int(k), n).proportion_ci(method="wilson")


def of_mean(measure: str, reason: str | None = None) -> Oracle:
    def compute(decisions: Sequence[Made], _all: Sequence[Made]) -> tuple[Numbers, float] | None:
        mine = values([made for made in decisions if reason in (None, made.reason)], measure)
        if not mine:
            return None
        if len(mine) == 1:
            return (mine[0], None, None), 1e-6
        low, high = stats.t.interval(0.95, len(mine) - 1, np.mean(mine), stats.sem(mine))
        return (float(np.mean(mine)), low, high), 1e-6

    return compute


def of_rate(measure: str) -> Oracle:
    def compute(decisions: Sequence[Made], _all: Sequence[Made]) -> tuple[Numbers, float] | None:
        mine = values(decisions, measure)
        return (wilson(sum(mine), len(mine)), 1e-9) if mine else None

    return compute


def of_quantile(read: Callable[[Made], float | None], q: float) -> Oracle:
    def compute(decisions: Sequence[Made], _all: Sequence[Made]) -> tuple[Numbers, float] | None:
        mine = sorted(value for made in decisions if (value := read(made)) is not None)
        if not mine:
            return None
        n = len(mine)
        low, high = (int(rank) for rank in stats.binom.ppf([0.025, 0.975], n, q))
        value = mine[int(np.ceil(n * q - 1e-9)) - 1]
        if low < 1 or high + 1 > n:
            return (value, None, None), BINS
        return (value, mine[low - 1], mine[high]), BINS

    return compute


def share(decisions: Sequence[Made], every: Sequence[Made]) -> tuple[Numbers, float]:
    return wilson(len(decisions), len(every)), 1e-9


def coverage_of(metric: str) -> Oracle:
    return lambda decisions, _: (wilson(len(values(decisions, metric)), len(decisions)), 1e-9)


ORACLES: dict[str, Oracle] = {
    "decisions": lambda decisions, _: ((float(len(decisions)), None, None), 1e-9),
    "share": share,
    "quality": of_mean("quality"),
    "satisfaction": of_mean("satisfaction"),
    "judged": of_mean("judged"),
    "expected_quality": of_mean("expected_quality"),
    "cost_usd": of_mean("cost_usd"),
    "cost_usd_sum": lambda decisions, _: ((sum(values(decisions, "cost_usd")), None, None), 1e-9),
    "latency_p50_s": of_quantile(lambda made: made.values.get("latency_s"), 0.5),
    "latency_p95_s": of_quantile(lambda made: made.values.get("latency_s"), 0.95),
    "ttft_p50_s": of_quantile(lambda made: made.values.get("ttft_s"), 0.5),
    "ttft_p95_s": of_quantile(lambda made: made.values.get("ttft_s"), 0.95),
    **{name: of_rate(name) for name in FAULTS},
    "exploration_price": of_mean("exploration_price", "policy"),
    "cost_weight": of_mean("cost_weight"),
    "escalated": of_rate("escalated"),
    "override": lambda decisions, _: (wilson(sum(values(decisions, "override")), len(decisions)), 1e-9),
    "quality_coverage": coverage_of("quality"),
    "satisfaction_coverage": coverage_of("satisfaction"),
    "quality_delay_s": of_quantile(lambda made: made.delays.get("quality"), 0.5),
    "satisfaction_delay_s": of_quantile(lambda made: made.delays.get("satisfaction"), 0.5),
}

GROUPINGS: list[set[Dimension]] = [
    set(),
    {Dimension.ARM},
    {Dimension.ARM, Dimension.REASON},
    {Dimension.TIME, Dimension.ARM},
]


def table_of(log: Sequence[Made], by: set[Dimension], step: int = 24, now: float = NOW) -> Table:
    return tabulate(roll_up(log, step), by, step=step, now=now)


def members(log: Sequence[Made], group: Group, step: int = 24) -> list[Made]:
    return [
        made
        for made in log
        if group.hour in (None, made.hour - made.hour % step)
        and group.arm in (None, made.arm)
        and group.reason in (None, made.reason)
    ]


def test_every_figure_has_an_oracle() -> None:
    assert list(ORACLES) == list(FIGURES)


@pytest.mark.parametrize("by", GROUPINGS, ids=lambda by: "+".join(sorted(by)) or "all")
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_what_the_decisions_say(name: str, by: set[Dimension]) -> None:
    table = table_of(LOG, by)
    points = {point.group: point for point in FIGURES[name].compute(table)}
    expected = {}
    for group in table:
        numbers = ORACLES[name](members(LOG, group), members(LOG, Group(hour=group.hour)))
        if numbers is not None:
            expected[group] = numbers
    assert points.keys() == expected.keys()
    for group, (theirs_of_group, tolerance) in expected.items():
        estimate = points[group].estimate
        assert estimate.n > 0
        for ours, theirs in zip(estimate[1:], theirs_of_group, strict=True):
            assert ours == (None if theirs is None else pytest.approx(theirs, rel=tolerance, abs=1e-9)), group


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_nothing_is_no_point(name: str) -> None:
    assert FIGURES[name].compute(table_of([], {Dimension.ARM})) == []


def points_of(name: str, table: Table) -> dict[Group, Point]:
    return {point.group: point for point in FIGURES[name].compute(table)}


def test_coverage_is_the_share_of_decisions_that_a_figure_is_of() -> None:
    for group, point in points_of("quality", table_of(LOG, {Dimension.ARM})).items():
        mine = members(LOG, group)
        assert point.coverage == pytest.approx(len(values(mine, "quality")) / len(mine))
        assert point.estimate.n == len(values(mine, "quality"))


def test_decisions_are_settled_once_feedback_had_its_usual_time() -> None:
    delays = [made.delays["quality"] for made in LOG if "quality" in made.delays]
    table = table_of(LOG, {Dimension.TIME}, step=1)
    usual_s = find_usual_delay_s(table, "quality")
    assert usual_s == pytest.approx(np.quantile(delays, 0.95, method="inverted_cdf"), rel=BINS)
    assert usual_s is not None
    points = points_of("quality_coverage", table)
    for group, point in points.items():
        assert group.hour is not None
        assert point.settled == float(3600.0 * (group.hour + 1) + usual_s <= NOW)
    assert {point.settled for point in points.values()} == {0.0, 1.0}
    (whole,) = points_of("quality", table_of(LOG, set(), step=1)).values()
    assert whole.settled is not None
    assert 0.9 < whole.settled < 1.0


def test_before_any_feedback_nobody_knows_what_is_settled() -> None:
    mute = [Made(hour=HOUR, arm="small", values={"decisions": 0.0}) for _ in range(3)]
    (point,) = points_of("quality_coverage", table_of(mute, set())).values()
    assert (point.estimate.value, point.settled) == (0.0, None)
    assert points_of("quality", table_of(mute, set())) == {}


def test_shares_of_one_time_add_up_to_one() -> None:
    by: set[Any] = {Dimension.TIME, Dimension.ARM, Dimension.REASON}
    points = points_of("share", table_of(LOG, by))
    for hour in (HOUR, HOUR + 24):
        shares = [point.estimate.value or 0.0 for group, point in points.items() if group.hour == hour]
        assert sum(shares) == pytest.approx(1.0)
