"""Sums that merge in any order, and the figures with intervals they become."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.types import BoolArray, FloatArray

Z95 = 1.959963984540054
"""The 97.5% point of the standard normal: intervals are value ± Z95 · standard error."""

S = TypeVar("S")


class Addable(Protocol):
    """Sums an estimator keeps of its rows. Addition is associative and commutative, up to rounding."""

    def __add__(self, other: Any) -> Self: ...


class Figure(NamedTuple):
    """An estimated value of one outcome, with its 95% interval and the rows that informed it."""

    value: float
    standard_error: float
    low: float
    high: float
    rows: int


Estimate = Mapping[str, Figure | None]
"""A figure for each of OUTCOMES; None where no row informs it."""


def make_figure(value: float, standard_error: float, rows: int) -> Figure:
    """The figure with the interval value ± Z95 · standard error."""
    reach = Z95 * standard_error
    return Figure(value, standard_error, value - reach, value + reach, rows)


def add_fields(left: S, right: S) -> S:
    """The sum of two dataclasses of one type, field by field."""
    names = [field.name for field in fields(left)]  # type: ignore[arg-type]
    return type(left)(**{name: getattr(left, name) + getattr(right, name) for name in names})


@dataclass(frozen=True, slots=True)
class Largest:
    """An array that merges by its largest entries."""

    value: FloatArray

    def __add__(self, other: Largest) -> Largest:
        return Largest(np.maximum(self.value, other.value))


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and scatter of vectors of length p, for each cell of a grid.

    ``n`` has the shape of the grid, ``mean`` (…, p), ``scatter`` (…, p, p) = Σ (z − mean)(z − mean)ᵀ.
    Keeping the scatter, not Σ z zᵀ, loses no digits when the spread is small beside the mean
    (Chan, Golub & LeVeque, Algorithms for computing the sample variance, Am. Stat. 1983).
    """

    n: FloatArray
    mean: FloatArray
    scatter: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray) -> Moments:
        """The moments of vectors (n, …, p): one vector in every cell for each of n rows."""
        n, shape = len(vectors), vectors.shape[1:]
        if n == 0:
            return cls(np.zeros(shape[:-1]), np.zeros(shape), np.zeros((*shape, shape[-1])))
        mean = vectors.mean(axis=0)
        off = np.moveaxis(vectors - mean, 0, -2)  # (…, n, p)
        return cls(np.full(shape[:-1], float(n)), mean, np.swapaxes(off, -1, -2) @ off)

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        share = other.n / np.maximum(n, 1.0)
        step = other.mean - self.mean
        between = step[..., :, None] * step[..., None, :] * (self.n * share)[..., None, None]
        return Moments(n, self.mean + step * share[..., None], self.scatter + other.scatter + between)


@dataclass(frozen=True, slots=True)
class RatioSums:
    """Sums for V = Σu / Σv, one for each of c columns: moments of (u, v), and informative rows (c,)."""

    moments: Moments
    rows: FloatArray

    @classmethod
    def of(cls, u: FloatArray, v: FloatArray, informative: BoolArray) -> RatioSums:
        """From terms u and v and the mask of informative rows, all (n, c)."""
        return cls(Moments.of(np.stack([u, v], axis=-1)), informative.sum(axis=0).astype(np.float64))

    def __add__(self, other: RatioSums) -> RatioSums:
        return add_fields(self, other)

    def figures(self) -> list[Figure | None]:
        """V of every column, with the standard error of a ratio of means by the delta method::

            se² = Σ (u − V v)² / (Σv)² · n/(n − 1)

        which is the sample variance over n where v = 1 (Owen, Monte Carlo theory, methods and
        examples, eq. 9.9). None where no row is informative, Σv = 0, or there is only one row.
        """
        figures: list[Figure | None] = []
        for n, (u, v), scatter, rows in zip(
            self.moments.n, self.moments.mean, self.moments.scatter, self.rows, strict=True
        ):
            if rows == 0 or n < 2 or v <= 0:
                figures.append(None)
                continue
            value = u / v
            direction = np.array([1.0, -value])
            spread = max(float(direction @ scatter @ direction), 0.0)
            figures.append(make_figure(float(value), math.sqrt(spread / (n * (n - 1))) / float(v), int(rows)))
        return figures

    def estimate(self) -> Estimate:
        """The figures by outcome, when the columns are the OUTCOMES."""
        return dict(zip(OUTCOMES, self.figures(), strict=True))
