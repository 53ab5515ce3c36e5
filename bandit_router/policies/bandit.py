"""Bandit policies: functions of the utility and the width of each arm; and the fixed and uniform ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit_router.policies.base import Policy, check_parameter, check_spec_name, require_arms, scale_width
from bandit_router.policies.gaussian_argmax import argmax_probabilities
from bandit_router.policies.pmf import argmax_pmf, mix_with_uniform, single_arm_pmf
from bandit_router.types import RATED_SHARE, FloatArray, Scores

_EPSILON = 0.02


@dataclass(frozen=True, slots=True)
class LinUCB(Policy):
    """1 − ε on the argmax of u + α·std (ties split evenly), ε spread over the eligible arms.

    Li, Chu, Langford & Schapire (2010), A contextual-bandit approach to personalized news article
    recommendation, Algorithm 1, with a floor.
    """

    name = "linucb"
    alpha: float = 1.0
    epsilon: float = _EPSILON

    def __post_init__(self) -> None:
        check_parameter(self.name, "alpha", self.alpha, 0.0, 1e6)
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)

    @property
    def spec(self) -> str:
        return f"{self.name}:alpha={float(self.alpha)!r},epsilon={float(self.epsilon)!r}"

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        return argmax_pmf((scores.utility + scale_width(scores, self.alpha)).tolist(), self.epsilon)


@dataclass(frozen=True, slots=True)
class Thompson(Policy):
    """(1 − ε)·P(arm is the argmax of N(u, (v·std)²)) + ε/k, the probability computed exactly.

    Agrawal & Goyal (2013), Thompson sampling for contextual bandits with linear payoffs, Algorithm 1,
    for arms with independent posteriors, with a floor.
    """

    name = "thompson"
    v: float = 1.0
    epsilon: float = _EPSILON

    def __post_init__(self) -> None:
        check_parameter(self.name, "v", self.v, 0.0, 1e6)
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)

    @property
    def spec(self) -> str:
        return f"{self.name}:v={float(self.v)!r},epsilon={float(self.epsilon)!r}"

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        wins = argmax_probabilities(scores.utility, scale_width(scores, self.v))
        return mix_with_uniform(wins.tolist(), self.epsilon)


@dataclass(frozen=True, slots=True)
class Tempered(Policy):
    """Thompson sampling from N(u, (s · min(1, least + slope · s))²), s = std, with a floor.

    An unknown arm is sampled with its full width; the better its level is known, the smaller the share of the
    remaining width, down to ``least``. Full sampling (v = 1) keeps paying for doubts that no longer matter,
    and a constant v < 1 may settle on the wrong arm early. The floor is smaller than that of the other
    policies, because its price, ε times the regret of the uniform policy, is paid for ever.

    Where only a share ρ of the answers is rated, exploring costs on every query and teaches on few: the width
    of an arm with n rewards is scaled by ρ ** (``rated_exponent`` · (n + 1) / (n + 3)). An arm keeps more of
    it while it has few rewards, so that these do not decide.
    """

    name = "tempered"
    least: float = 0.5
    slope: float = 5.0
    epsilon: float = 0.005
    rated_exponent: float = 0.5

    def __post_init__(self) -> None:
        check_parameter(self.name, "least", self.least, 0.0, 1e6)
        check_parameter(self.name, "slope", self.slope, 0.0, 1e6)
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)
        check_parameter(self.name, "rated_exponent", self.rated_exponent, 0.0, 10.0)

    @property
    def spec(self) -> str:
        names = ("least", "slope", "epsilon", "rated_exponent")
        return f"{self.name}:{','.join(f'{name}={float(getattr(self, name))!r}' for name in names)}"

    @property
    def reads(self) -> tuple[str, ...]:
        return (RATED_SHARE,)

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        width = scores.std * np.minimum(1.0, self.least + self.slope * scores.std)
        width = self._scale_by_rated_share(width, scores)
        return mix_with_uniform(argmax_probabilities(scores.utility, width).tolist(), self.epsilon)

    def _scale_by_rated_share(self, width: FloatArray, scores: Scores) -> FloatArray:
        share = float(scores.signals.get(RATED_SHARE, 1.0))
        if share == 1.0 or self.rated_exponent == 0.0:
            return width
        n = scores.counted
        exponent = self.rated_exponent * (1.0 if n is None else (n + 1.0) / (n + 3.0))
        scaled: FloatArray = width * share**exponent
        return scaled


@dataclass(frozen=True, slots=True)
class EpsilonGreedy(Policy):
    """1 − ε on the argmax of u (ties split evenly), ε spread over the eligible arms."""

    name = "epsilon-greedy"
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)

    @property
    def spec(self) -> str:
        return f"{self.name}:epsilon={float(self.epsilon)!r}"

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        return argmax_pmf(scores.utility.tolist(), self.epsilon)


@dataclass(frozen=True, slots=True)
class Uniform(Policy):
    """1/k on every eligible arm: the best log to evaluate other policies from."""

    name = "uniform"
    learns = False

    @property
    def spec(self) -> str:
        return self.name

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        return mix_with_uniform([1.0 / len(scores.arms)] * len(scores.arms), 0.0)


@dataclass(frozen=True, slots=True)
class Fixed(Policy):
    """1 − ε on one named arm; uniform if that arm is not eligible."""

    name = "fixed"
    learns = False
    arm: str
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        check_spec_name(self.name, "arm", self.arm, ",=")  # a log may have names that settings may not
        check_parameter(self.name, "epsilon", self.epsilon, 0.0, 1.0)

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm,)

    @property
    def spec(self) -> str:
        return f"{self.name}:{self.arm},epsilon={float(self.epsilon)!r}"

    def pmf(self, scores: Scores) -> list[float]:
        require_arms(scores)
        if self.arm not in scores.arms:
            return Uniform().pmf(scores)
        return single_arm_pmf(self.arm, scores, self.epsilon)
