"""What a policy is, and the three pieces every policy is made of.

A policy is a distribution: it maps the scores of the eligible arms to a probability mass function
over them. The router samples from it, so the logged propensity is exact by construction.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from bandit_router.errors import InvalidInput, NoEligibleArm
from bandit_router.types import TIER, FloatArray, Reason, Scores, Signals

_TIE = 1e-12


class Policy(ABC):
    """Maps the scores of the eligible arms to probabilities; every policy inherits from it.

    A policy overrides the defaults that do not fit it: ``learns`` says whether the probabilities depend on
    the posterior, ``names`` lists the arms in its parameters, which must exist, ``reads`` the signals that it
    reads, and :meth:`reason` and :meth:`verdict` are logged and shown.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def spec(self) -> str:
        """The policy with its parameters, as ``parse_policy`` reads it: ``linucb:alpha=1,epsilon=0.02``."""

    @abstractmethod
    def pmf(self, scores: Scores) -> list[float]:
        """k probabilities that sum to 1, in the order of ``scores.arms``.

        Raises NoEligibleArm when k = 0. Never changes its input.
        """

    @property
    def learns(self) -> bool:
        return True

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        return ()

    def reason(self, scores: Scores) -> Reason:
        """Why a decision with these scores has its action; ``POLICY`` marks exploration."""
        del scores
        return Reason.POLICY

    def verdict(self, signals: Signals) -> str | None:
        """The class that the policy puts a query with these signals into, such as "uncertain", if any."""
        del signals
        return None


def list_computed_signals(policy: Policy) -> tuple[str, ...]:
    """The signals to compute for the policy: all that it reads except the tier, which callers send."""
    return tuple(name for name in policy.reads if name != TIER)


def mix_with_uniform(probabilities: list[float], epsilon: float) -> list[float]:
    """(1 − ε) p + ε/k, rescaled so that rounding cannot move the sum from 1."""
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
    """1 − ε on an eligible arm, ε spread over all."""
    return argmax_pmf([0.0 if name == arm else -math.inf for name in scores.arms], epsilon)


def select_arms(scores: Scores, rows: Sequence[int]) -> Scores:
    """The scores of some arms only, in the order given."""
    index = np.array(rows, dtype=int)
    return Scores(
        arms=tuple(scores.arms[row] for row in rows),
        x=scores.x,
        mean=scores.mean[index],
        std=scores.std[index],
        cost_usd=scores.cost_usd[index],
        utility=scores.utility[index],
        signals=scores.signals,
        counted=None if scores.counted is None else scores.counted[index],
    )


def normalise_pmf(probabilities: list[float]) -> list[float]:
    """The same, over their sum: rounding cannot move it from 1."""
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


def require_arms(scores: Scores) -> None:
    """Raise NoEligibleArm unless there is something to choose from."""
    if not scores.arms:
        raise NoEligibleArm({})


def check_parameter(policy: str, name: str, value: float, low: float, high: float) -> None:
    """InvalidInput unless low <= value <= high."""
    if not low <= value <= high:
        bounds = f"[{low:g}, {high:g}]" if math.isfinite(high) else f"[{low:g}, ∞)"
        raise InvalidInput(f"policy {policy}: {name}", f"is {value:g}", f"give a number in {bounds}")


def check_spec_name(policy: str, name: str, arm: str, forbidden: str = ",=[]") -> None:
    """InvalidInput unless the name of an arm can stand in a spec and be read back."""
    if not arm or set(arm) & set(forbidden):
        raise InvalidInput(f"policy {policy}: {name}", f"is {arm!r}", "name an arm, such as gpt-4o")


def scale_width(scores: Scores, factor: float) -> FloatArray:
    """factor · std, the exploration width of each arm."""
    return scores.std if factor == 1.0 else scores.std * factor
