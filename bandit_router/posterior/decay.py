"""Forgetting by event time: evidence counts half when it is ``half_life_s`` older than the newest.

With weights w = 2^(−(as_of − at)/half_life_s) kept as sums anchored at ``as_of``, moving the anchor
multiplies every sum by one factor. So forgetting commutes with whatever else is added, in any order.
"""

from __future__ import annotations

import math

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.types import FloatArray


def decay_factor(since: float, as_of: float, half_life_s: float | None) -> float:
    """What a sum anchored at ``since`` is multiplied by when the anchor moves on to ``as_of``.

    1 without a half-life, and while there is nothing to decay (``since`` is −∞). Raises InvalidInput for a
    time that is not finite.
    """
    if not math.isfinite(as_of):
        raise InvalidInput("as_of", f"is {as_of}", "give a time in seconds")
    if half_life_s is None or not math.isfinite(since):
        return 1.0
    return float(2.0 ** ((since - as_of) / half_life_s))


def decay_weights(at: FloatArray, as_of: float, half_life_s: float | None) -> FloatArray:
    """The weight at ``as_of`` of evidence of the times ``at`` (n,)."""
    if half_life_s is None:
        return np.ones_like(at)
    return np.exp2((at - as_of) / half_life_s)
