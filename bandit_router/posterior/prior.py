"""The prior of one arm's coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.types import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """θ ~ N(mean, diag(precision)⁻¹), both of shape (d,), with precision > 0."""

    mean: FloatArray
    precision: FloatArray

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.precision.shape:
            raise InvalidInput("prior", "mean and precision differ in shape", "give two (d,) vectors")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.precision).all()):
            raise InvalidInput("prior", "is not finite", "give finite numbers")
        if not (self.precision > 0).all():
            raise InvalidInput("prior.precision", "is not positive", "give numbers above 0")
