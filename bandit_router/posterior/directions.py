"""The few directions of the context that arms are compared on: principal components of the contexts.

With x̄ and Cov(x) estimated from the contexts of all arms, and W the leading eigenvectors of Cov(x), each
times the root of its eigenvalue::

    φ(x) = [1, W (x − x̄)]

so the prior variance of an effect is proportional to how much x varies along it (the prior of principal
component regression; Zellner's g-prior has the inverse).
"""

from __future__ import annotations

import numpy as np

from bandit_router.types import FloatArray

DIRECTIONS = 12
"""How many directions of x are kept: more cost time and gain nothing."""

_PRIOR_CONTEXTS = 20.0  # weight of an isotropic Cov(x), in contexts, until many were observed
_SMALLEST_VARIANCE = 1e-12


def find_directions(second: FloatArray, weight: FloatArray, apart: int = 0) -> FloatArray:
    """The transform T (D, d): φ = T x = [1, leading directions of x − x̄], scaled so that E|φ|² = 2; x[0] = 1.

    ``second`` and ``weight`` are S and Σ w of the regression sums. The last ``apart`` features are left out
    of the eigenvectors: they follow as directions of their own, standardised, with E|·|² = 1 together.
    """
    pooled, n = second.sum(axis=0), float(weight.sum())
    features = pooled.shape[0] - 1
    mixed = features - apart
    kept = min(DIRECTIONS, mixed)
    mean = pooled[0, 1:] / n if n > 0 else np.zeros(features)
    spread = pooled[1:, 1:] - n * np.outer(mean, mean) + np.eye(features) * (_PRIOR_CONTEXTS / max(1, mixed))
    spread /= n + _PRIOR_CONTEXTS
    scaled = np.zeros((kept + apart, features))
    if kept:
        values, vectors = np.linalg.eigh(spread[:mixed, :mixed])
        values, vectors = np.maximum(values[-kept:], _SMALLEST_VARIANCE), vectors[:, -kept:]
        scaled[:kept, :mixed] = (vectors * np.sqrt(values / (values**2).sum())).T
    if apart:
        variance = np.maximum(spread.diagonal()[mixed:], _SMALLEST_VARIANCE)
        scaled[kept:, mixed:] = np.diag(1.0 / np.sqrt(apart * variance))
    transform = np.zeros((1 + kept + apart, 1 + features))
    transform[0, 0] = 1.0
    transform[1:, 1:], transform[1:, 0] = scaled, -scaled @ mean
    return transform
