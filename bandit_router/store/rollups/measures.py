"""Measures: the quantities that roll-ups sum, and the fixed point that they are summed in.

A value v counts as two integers: round(v · per_one) and round(v² · squares_per_one), with v clipped to
[−largest, largest]. Integers add up in any order and come back to exactly 0.

=====================  ==========  ======  =======
unit                   largest     of v    of v²
=====================  ==========  ======  =======
share, reward          1           1e-9    1e-9
USD, utility           1,000       1e-9    1e-12
seconds, 1/USD         1,000,000   1e-6    1e-6
=====================  ==========  ======  =======

So no integer of one value exceeds 2⁶⁰. A sum S is stored as two 64-bit columns, S = high · 2³² + low with
0 ≤ low < 2³²: it holds 2³⁵ values (34 billion) of the largest size, more than a cell will ever see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bandit_router.types import METRICS, CallOutcome


class Measure(NamedTuple):
    """The fixed point of one measure; a ``binned`` one is counted in the bins of latencies, too.

    Bins tell how many ratings lie below a threshold, within 5% of it.
    """

    largest: float
    per_one: int
    squares_per_one: int
    binned: bool = False

    def quantize(self, value: float) -> tuple[int, int]:
        """The integers that a value and its square count as."""
        largest, per_one, squares_per_one, _ = self  # each write counts several values
        if not -largest <= value <= largest:
            value = max(-largest, min(largest, value))
        return round(value * per_one), round(value * value * squares_per_one)


USUAL = 0.95
"""The share of first values of a metric that come within the usual time."""

DECISIONS = "decisions"
"""Counts decisions; the values are 0."""

EXPECTED_QUALITY = "expected_quality"
EXPECTED_COST = "expected_cost_usd"
COST_WEIGHT = "cost_weight"

EXPLORATION_PRICE = "exploration_price"
"""Utility of the greedy arm less that of the arm chosen."""

ESCALATED = "escalated"
"""1 for a judged answer that was retried, 0 for one that was accepted; counted at the first decision."""

_SHARE = Measure(1.0, 10**9, 10**9)
_USD = Measure(1e3, 10**9, 10**12)
_SECONDS = Measure(1e6, 10**6, 10**6, binned=True)
_RATING = _SHARE._replace(binned=True)
_UNITS = {
    "quality": _RATING,
    "satisfaction": _RATING,
    "cost_usd": _USD,
    "latency_s": _SECONDS,
    "ttft_s": _SECONDS,
}


def name_call_measure(outcome: str) -> str:
    """The measure that counts the calls which ended like this; the values are 0."""
    return f"call_{outcome}"


MEASURES: Mapping[str, Measure] = {
    DECISIONS: _SHARE,
    EXPECTED_QUALITY: _USD,  # a mean of the posterior may be any number
    EXPECTED_COST: _USD,
    COST_WEIGHT: _SECONDS._replace(binned=False),
    EXPLORATION_PRICE: _USD,
    ESCALATED: _SHARE,
    **{name_call_measure(outcome): _SHARE for outcome in CallOutcome},
    **{metric: _UNITS.get(metric, _SHARE) for metric in METRICS},
}
"""Every measure by name but the owner's metrics; those of ours among them go by their own names."""


def find_measure(name: str) -> Measure:
    """The measure of that name; a metric of the owner's is a rating from 0 to 1."""
    return MEASURES.get(name, _RATING)


def is_metric(name: str) -> bool:
    """Whether values of the measure come by feedback."""
    return name in METRICS or name not in MEASURES


MONEY = (EXPECTED_COST, "cost_usd")
"""Measures that stay, without a name, when a user is forgotten."""
