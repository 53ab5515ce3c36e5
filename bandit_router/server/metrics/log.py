"""Figures of the log, from roll-ups: what was decided, called and answered, by arm.

They are gauges, for corrections may lower them: a rating that is retracted, a user who is forgotten.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bandit_router.store.rollups.measures import DECISIONS, EXPLORATION_PRICE, is_metric, name_call_measure
from bandit_router.store.rollups.reader import UNDIVIDED, RollupFilter, RollupRow
from bandit_router.types import CallOutcome

ALL_TIME = RollupFilter(since=0, until=UNDIVIDED, step=UNDIVIDED, binned=False)
"""All decisions ever, in one step."""

_OUTCOMES = {name_call_measure(outcome): outcome.value for outcome in CallOutcome}


def render_log(rows: Sequence[RollupRow] | None, safety_share: float | None = None) -> bytes:
    """The figures as Prometheus reads them; of None, that the database cannot be read now.

    ``safety_share`` is the part of traffic that a bound policy has.
    """
    registry = CollectorRegistry()
    registry.register(_LogCollector(rows, safety_share))
    return generate_latest(registry)


class _LogCollector(Collector):
    def __init__(self, rows: Sequence[RollupRow] | None, safety_share: float | None) -> None:
        self._rows = rows
        self._safety_share = safety_share

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = float(self._rows is not None)
        yield GaugeMetricFamily(
            "bandit_router_log_readable", "1 when the figures of the log could be read, else 0.", up
        )
        if self._safety_share is not None:
            yield GaugeMetricFamily(
                "bandit_router_safety_share",
                "Share of traffic that the policy decides, else its baseline.",
                self._safety_share,
            )
        if self._rows is not None:
            yield from _count_decisions(self._rows)
            yield from _count_calls(self._rows)
            yield from _sum_metrics(self._rows)


def _count_decisions(rows: Sequence[RollupRow]) -> Iterator[GaugeMetricFamily]:
    decisions = GaugeMetricFamily(
        "bandit_router_decisions", "Decisions logged, by what decided.", labels=["arm", "reason"]
    )
    price = GaugeMetricFamily(
        "bandit_router_exploration_price", "Utility given up to explore, summed.", labels=["arm"]
    )
    given_up: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        if row.measure == DECISIONS:
            decisions.add_metric([row.arm, row.reason], row.count)
        elif row.measure == EXPLORATION_PRICE:
            given_up[row.arm] += row.total
    for arm, utility in given_up.items():
        price.add_metric([arm], utility)
    yield decisions
    yield price


def _count_calls(rows: Sequence[RollupRow]) -> Iterator[GaugeMetricFamily]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.measure in _OUTCOMES:
            counts[row.arm, _OUTCOMES[row.measure]] += row.count
    calls = GaugeMetricFamily(
        "bandit_router_calls", "Calls that the gateway made and that have ended.", labels=["arm", "outcome"]
    )
    for labels, count in counts.items():
        calls.add_metric(labels, count)
    yield calls


def _sum_metrics(rows: Sequence[RollupRow]) -> Iterator[GaugeMetricFamily]:
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        if is_metric(row.measure):
            both = sums[row.arm, row.measure]
            both[0] += row.count
            both[1] += row.total
    labels = ["arm", "metric"]
    values = GaugeMetricFamily("bandit_router_feedback_values", "Values in force.", labels=labels)
    summed = GaugeMetricFamily("bandit_router_feedback_sum", "Their sum, in their unit.", labels=labels)
    for key, (n, total) in sums.items():
        values.add_metric(key, n)
        summed.add_metric(key, total)
    yield values
    yield summed
