"""The base class of every policy, and the checks of its parameters and scores.

A policy is a distribution: it maps the scores of the eligible arms to a probability mass function
over them. The router samples from it, so the logged propensity is exact by construction.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput, NoEligibleArm
from bandit_router.policies.pmf import sample
from bandit_router.types import (
    INCUMBENT,
    NO_SIGNALS,
    RATED_SHARE,
    SAFETY_SHARE,
    TIER,
    WILL_BE_RATED,
    FloatArray,
    Reason,
    Scores,
    Signals,
)

_NOT_OF_QUERIES = (TIER, WILL_BE_RATED, RATED_SHARE, SAFETY_SHARE, INCUMBENT)
"""Signals that callers send or a snapshot has; a decision may lack any of them."""


class Draw(NamedTuple):
    """A draw from a policy: the PMF to log, the row that was drawn, and signals to log with it."""

    pmf: list[float]
    row: int
    signals: Signals = NO_SIGNALS


class Policy(ABC):
    """Maps the scores of the eligible arms to probabilities; every policy inherits from it.

    ``name`` is what settings and specs call it. A policy overrides the defaults that do not fit it:
    ``learns`` says whether the probabilities depend on the posterior, ``arms`` lists the arms in its
    parameters, which must exist, ``reads`` the signals that it reads, and :meth:`reason` and :meth:`verdict`
    are logged and shown.
    """

    __slots__ = ()

    name: ClassVar[str]

    @property
    @abstractmethod
    def spec(self) -> str:
        """The policy with its parameters, as ``parse_policy`` reads it: ``linucb:alpha=1,epsilon=0.02``."""

    @abstractmethod
    def pmf(self, scores: Scores) -> list[float]:
        """k probabilities that sum to 1, in the order of ``scores.arms``.

        Raises NoEligibleArm when k = 0. Never changes its input.
        """

    def draw(self, scores: Scores, rng: np.random.Generator) -> Draw:
        """Draw a row with the probabilities of :meth:`pmf`. Raises NoEligibleArm."""
        pmf = self.pmf(scores)
        return Draw(pmf, sample(pmf, rng))

    @property
    def learns(self) -> bool:
        return True

    @property
    def arms(self) -> tuple[str, ...]:
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


class AroundPolicy:
    """What a policy around another one, ``policy``, asks of that one; to be inherited from before Policy."""

    __slots__ = ()

    policy: Policy

    @property
    def learns(self) -> bool:
        return self.policy.learns

    @property
    def arms(self) -> tuple[str, ...]:
        return self.policy.arms

    @property
    def reads(self) -> tuple[str, ...]:
        return self.policy.reads

    def verdict(self, signals: Signals) -> str | None:
        return self.policy.verdict(signals)


def list_computed_signals(policy: Policy) -> tuple[str, ...]:
    """The signals of queries to compute for the policy: all that it reads but those that come with a call."""
    return tuple(name for name in policy.reads if name not in _NOT_OF_QUERIES)


def select_arms(scores: Scores, rows: Sequence[int]) -> Scores:
    """The scores of the arms in these rows, in this order."""
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


def require_arms(scores: Scores) -> None:
    """Raise NoEligibleArm unless the scores have an arm."""
    if not scores.arms:
        raise NoEligibleArm({})


def check_parameter(policy: str, name: str, value: float, low: float, high: float) -> None:
    """Raise InvalidInput unless low <= value <= high."""
    if not low <= value <= high:
        bounds = f"[{low:g}, {high:g}]" if math.isfinite(high) else f"[{low:g}, ∞)"
        raise InvalidInput(f"policy {policy}: {name}", f"is {value:g}", f"give a number in {bounds}")


def check_spec_name(policy: str, name: str, arm: str, forbidden: str = ",=[]") -> None:
    """Raise InvalidInput unless the name can be written into a spec and read back."""
    if not arm or set(arm) & set(forbidden):
        raise InvalidInput(f"policy {policy}: {name}", f"is {arm!r}", "name an arm, such as gpt-4o")


def scale_width(scores: Scores, factor: float) -> FloatArray:
    """factor · std, the exploration width of each arm."""
    return scores.std if factor == 1.0 else scores.std * factor
