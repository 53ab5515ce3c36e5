"""How far a judge agrees with people: agreement, Cohen's κ and bias, with 95% intervals.

Both say of an answer whether it is good: its value is at least a threshold. Of n answers, p_ij is the share
of which people say i and the judge says j.

- Agreement p_o = Σ_i p_ii, with Wilson's interval.
- κ = (p_o − p_e) / (1 − p_e), where p_e = Σ_i p_i· p_·i is the agreement of a judge who says as often that an
  answer is good, and knows nothing (Cohen, Educ. Psychol. Meas. 1960). 1 is full agreement, 0 none beyond
  chance. Its interval is κ ± z·s with the large-sample variance of Fleiss, Cohen & Everitt (Psychol. Bull.
  1969, eq. 13):

    s² = [Σ_i p_ii ((1 − p_e) − (p_i· + p_·i)(1 − p_o))² + (1 − p_o)² Σ_{i≠j} p_ij (p_·i + p_j·)²
          − (p_o p_e − 2 p_e + p_o)²] / (n (1 − p_e)⁴)

- Bias: the mean of the judge's value minus that of people, with Student's interval. It differs between arms
  if the judge prefers one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from bandit_router.insight.intervals import LEVEL, Estimate, estimate_mean, estimate_share
from bandit_router.types import FloatArray

_Z = float(ndtri(0.5 + LEVEL / 2.0))


class RatedAnswer(NamedTuple):
    """An answer of an arm that people and a judge have rated, each in [0, 1]."""

    arm: str
    human: float
    judged: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a judge agrees with people on the same answers."""

    agreement: Estimate
    kappa: Estimate
    bias: Estimate


def measure_agreement(answers: Iterable[RatedAnswer], threshold: float = 0.5) -> Agreement:
    """The agreement on answers of any arm; one is good from ``threshold`` on."""
    values = np.array([(answer.human, answer.judged) for answer in answers], np.float64).reshape(-1, 2)
    good = (values >= threshold).astype(np.int64)
    table = np.zeros((2, 2))
    np.add.at(table, (good[:, 0], good[:, 1]), 1.0)
    gaps = values[:, 1] - values[:, 0]
    n = len(values)
    return Agreement(
        agreement=estimate_share(float(np.trace(table)), n),
        kappa=estimate_kappa(table),
        bias=estimate_mean(n, float(gaps.sum()), float(np.square(gaps).sum())),
    )


def measure_by_arm(answers: Iterable[RatedAnswer], threshold: float = 0.5) -> Mapping[str, Agreement]:
    """The same for each arm, by name."""
    by_arm: dict[str, list[RatedAnswer]] = {}
    for answer in answers:
        by_arm.setdefault(answer.arm, []).append(answer)
    return {arm: measure_agreement(by_arm[arm], threshold) for arm in sorted(by_arm)}


def estimate_kappa(table: FloatArray) -> Estimate:
    """Cohen's κ of a table of counts (k, k), one rater down and the other across.

    Without a value where both always say the same one thing: then nothing is left to chance to beat.
    """
    n = float(table.sum())
    if n == 0.0:
        return Estimate(0)
    p = table / n
    down, across = p.sum(axis=1), p.sum(axis=0)
    observed, by_chance = float(np.trace(p)), float(down @ across)
    if math.isclose(by_chance, 1.0):
        return Estimate(int(n))
    kappa = (observed - by_chance) / (1.0 - by_chance)
    on_diagonal = np.diag(p) @ np.square((1.0 - by_chance) - (down + across) * (1.0 - observed))
    off_diagonal = (p - np.diag(np.diag(p))) * np.square(across[:, None] + down[None, :])
    spread = on_diagonal + (1.0 - observed) ** 2 * off_diagonal.sum()
    spread -= (observed * by_chance - 2.0 * by_chance + observed) ** 2
    half = _Z * math.sqrt(max(0.0, float(spread)) / n) / (1.0 - by_chance) ** 2
    return Estimate(int(n), kappa, max(-1.0, kappa - half), min(1.0, kappa + half))
