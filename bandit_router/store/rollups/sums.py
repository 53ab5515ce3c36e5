"""Sums of one measure in one cell: integers that add up and subtract, and their form in the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from bandit_router.posterior.latency import find_bin
from bandit_router.store.rollups.measures import Measure
from bandit_router.types import IntArray

Bins = dict[int, int]
"""The number of values in each bin of :mod:`bandit_router.posterior.latency`; none is 0."""

_LIMB = 2**32


@dataclass(slots=True)
class Sums:
    """Count, sum and sum of squares of values in their fixed point; ``bins`` of the values, where binned.

    ``delays`` bins the seconds from a decision to the first value of the measure. It stays when that value
    is revised or retracted.
    """

    count: int = 0
    total: int = 0
    squares: int = 0
    bins: Bins = field(default_factory=dict)
    delays: Bins = field(default_factory=dict)

    def add_value(self, measure: Measure, value: float, sign: int = 1) -> None:
        """Count a value; with a sign of −1, take it out again."""
        total, square = measure.quantize(value)
        self.count += sign
        self.total += sign * total
        self.squares += sign * square
        if measure.binned:
            add_to_bins(self.bins, [(find_bin(value), sign)])

    def add(self, other: Sums, sign: int = 1) -> None:
        """Add other sums; with a sign of −1, subtract them."""
        self.count += sign * other.count
        self.total += sign * other.total
        self.squares += sign * other.squares
        add_to_bins(self.bins, ((i, sign * n) for i, n in other.bins.items()))
        add_to_bins(self.delays, ((i, sign * n) for i, n in other.delays.items()))

    def __bool__(self) -> bool:
        return bool(self.count or self.total or self.squares or self.bins or self.delays)


def add_to_bins(bins: Bins, counts: Iterable[tuple[int, int]]) -> None:
    """Add counts to bins; a bin that comes to 0 is left out, so that equal bins are equal."""
    for i, n in counts:
        n += bins.get(i, 0)
        if n:
            bins[i] = n
        else:
            bins.pop(i, None)


def split_sum(value: int) -> tuple[int, int]:
    """A sum as two integers of 64 bits: high and low."""
    return divmod(value, _LIMB)


def join_sum(high: int, low: int) -> int:
    """The sum that was split."""
    return high * _LIMB + low


def pack_bins(bins: Bins) -> bytes | None:
    """Bins as little-endian int32 pairs of bin and count, in order; None without any."""
    return np.array(sorted(bins.items()), "<i4").tobytes() if bins else None


def unpack_bins(packed: bytes | None) -> Bins:
    """The bins that were packed."""
    return {} if packed is None else {int(i): int(n) for i, n in unpack_pairs(packed)}


def unpack_pairs(packed: bytes) -> IntArray:
    """Packed bins, of one cell or of several joined, as an array (pairs, 2)."""
    return np.frombuffer(packed, "<i4").reshape(-1, 2).astype(np.int64)
