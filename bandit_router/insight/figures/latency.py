"""How long calls take: the median and the 95th percentile, to the end and to the first token."""

from __future__ import annotations

from functools import partial

from bandit_router.insight.figures.base import Figure, Point
from bandit_router.insight.figures.coverage import find_coverage
from bandit_router.insight.intervals import estimate_quantile
from bandit_router.insight.table import Table


def find_latency(table: Table, metric: str, q: float) -> list[Point]:
    """The quantile q of a metric in seconds, within 2.5%; interval by ranks."""
    return [
        Point(group=group, estimate=estimate, coverage=find_coverage(table, group, metric))
        for group in table
        if (estimate := estimate_quantile(table.totals(group, metric).bins, q)).n
    ]


def _quantile(metric: str, q: float, title: str) -> Figure:
    name = f"{metric.removesuffix('_s')}_p{round(100 * q)}_s"
    return Figure(name=name, title=title, unit="s", compute=partial(find_latency, metric=metric, q=q))


LATENCY_P50 = _quantile("latency_s", 0.5, "Latency, median")
LATENCY_P95 = _quantile("latency_s", 0.95, "Latency, 95th percentile")
TTFT_P50 = _quantile("ttft_s", 0.5, "Time to first token, median")
TTFT_P95 = _quantile("ttft_s", 0.95, "Time to first token, 95th percentile")
