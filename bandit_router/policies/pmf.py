"""Probability mass functions over arms: the ε floor, the argmax with ties, one certain arm, and a draw."""

from __future__ import annotations

import math

import numpy as np

from bandit_router.types import Scores

_TIE = 1e-12


def mix_with_uniform(probabilities: list[float], epsilon: float) -> list[float]:
    """(1 − ε) p + ε/k, normalised."""
    k = len(probabilities)
    keep, share = 1.0 - epsilon, epsilon / k
    return normalise_pmf([keep * p + share for p in probabilities])


def argmax_pmf(values: list[float], epsilon: float) -> list[float]:
    """1 − ε split evenly over the arms that tie for the largest value, ε spread over all."""
    best = max(values)
    cut = best - _TIE * max(1.0, abs(best))
    winners = [value >= cut for value in values]
    floor = epsilon / len(values)
    top = (1.0 - epsilon) * (1.0 / winners.count(True)) + floor
    return normalise_pmf([top if won else floor for won in winners])


def single_arm_pmf(arm: str, scores: Scores, epsilon: float = 0.0) -> list[float]:
    """1 − ε on the named eligible arm, ε spread over all."""
    return argmax_pmf([0.0 if name == arm else -math.inf for name in scores.arms], epsilon)


def one_hot_pmf(size: int, index: int) -> list[float]:
    """1 at ``index``, 0 elsewhere: the PMF of a decision that no policy drew."""
    pmf = [0.0] * size
    pmf[index] = 1.0
    return pmf


def normalise_pmf(probabilities: list[float]) -> list[float]:
    """The probabilities divided by their sum, which rounding may have moved from 1."""
    total = math.fsum(probabilities)
    return probabilities if total == 1.0 else [p / total for p in probabilities]


def sample(pmf: list[float], rng: np.random.Generator) -> int:
    """The index of one draw from ``pmf``, by inversion with a single uniform."""
    u = rng.random()
    for index, p in enumerate(pmf):
        u -= p
        if u < 0.0:
            return index
    return max(range(len(pmf)), key=pmf.__getitem__)
