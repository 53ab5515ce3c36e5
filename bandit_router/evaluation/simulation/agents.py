"""Who plays a stream: bandit-router itself, or anything else that chooses and learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self, runtime_checkable

import numpy as np

from bandit_router.errors import NoEligibleArm
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.simulation.watch import Expected, Watch
from bandit_router.objective.pacing import (
    PacingState,
    advance,
    affordable_usd,
    clip_expected_reward,
    cost_weight_of,
)
from bandit_router.policies import Policy, parse_policy, put_on_trial, sample
from bandit_router.posterior.cost import root_of, roots
from bandit_router.posterior.linear import Posterior, Prior
from bandit_router.posterior.priors import expected_by_price, make_hyperprior, make_prior
from bandit_router.posterior.state import ModelState, empty_costs, empty_latencies, with_warm_start
from bandit_router.posterior.warm_start import Evidence, evidence_of_labels
from bandit_router.routing.deadline import Deadline, exclude_late_arms
from bandit_router.routing.decide import PublishedModel, expected_costs, high_costs, score
from bandit_router.routing.eligibility import affordable_arms
from bandit_router.settings.learning import PosteriorSection
from bandit_router.settings.policy import TrialSection
from bandit_router.types import BoolArray, FloatArray, Goal, Signals

_GROWTH = 1.05
_SCHEMA = "simulation"


class Agent(Protocol):
    """Chooses an arm for a query, and hears what came of it: later, never, or twice."""

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals
    ) -> int:
        """The index of an eligible arm: x (d,), eligible (K,), expected_cost_usd (K,), and what is known
        of the query besides x."""
        ...

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        """The outcome of decision number ``decision``."""
        ...


@runtime_checkable
class Timekeeper(Protocol):
    """An agent that also wants to hear how long calls took."""

    def time(self, decision: int, latency_s: float) -> None:
        """The latency of decision number ``decision``, before the rest of its outcome."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What an agent may know before the first query: nothing of the stream but its shape and its prices.

    ``list_usd`` (K,) is what a query is listed to cost, ``cost_weight`` is λ in 1/USD; ``labelled`` are other
    queries on which every arm was tried, if any.
    """

    arms: tuple[str, ...]
    dim: int
    list_usd: FloatArray
    cost_weight: float
    rng: np.random.Generator
    labelled: Stream | None = None

    @classmethod
    def of(
        cls, stream: Stream, cost_weight: float, rng: np.random.Generator, labelled: Stream | None = None
    ) -> Self:
        """What may be known of this stream."""
        return cls(
            arms=stream.arms,
            dim=stream.x.shape[1],
            list_usd=stream.expected_cost_usd[0],
            cost_weight=cost_weight,
            rng=rng,
            labelled=labelled,
        )


MakeAgent = Callable[[Setting], Agent]
"""Makes an agent that has not seen a query yet."""


class Heard(NamedTuple):
    """An outcome that is counted: whose, the reward, the root of cost over list price, and the latency."""

    decision: int
    arm: str
    x: FloatArray
    quality: float
    root: float | None
    latency_s: float | None


class Booked(NamedTuple):
    """What a call costs by its list and was expected to cost, USD, and to be worth, in [0, 1]."""

    listed_usd: float
    expected_usd: float
    expected_quality: float


@dataclass(slots=True)
class RouterAgent:
    """What a live router does, in one process: the same sums, snapshots, decisions and policy.

    Feedback that comes twice counts once, as the store sees to. Where a live router publishes a snapshot
    every second, this one does whenever it knows a twentieth more than the last one. With a ``goal`` the
    cost weight is paced, and what is too dear for the moment is left out; a query passes in a second. With a
    ``watch`` it resets arms that drifted. With a ``deadline``, which every query then has, arms that are late
    are left out; NoEligibleArm if all of them are.
    """

    learned: ModelState
    policy: Policy
    cost_weight: float
    rng: np.random.Generator
    goal: Goal | None = None
    pace: PacingState = field(default_factory=PacingState)
    counted: set[int] = field(default_factory=set)
    booked: list[Booked] = field(default_factory=list)
    watch: Watch | None = None
    heard: list[Heard] = field(default_factory=list)
    version: int = 0
    deadline: Deadline | None = None
    latencies_s: dict[int, float] = field(default_factory=dict)
    view: PublishedModel = field(init=False)
    _next: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        self._publish()

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals
    ) -> int:
        arms = self.learned.rewards.arms
        there = {
            arm: cost for arm, cost, on in zip(arms, expected_cost_usd.tolist(), eligible, strict=True) if on
        }
        if self.deadline is not None:
            excluded = exclude_late_arms(self.view.latencies, list(there), self.deadline)
            there = {arm: cost for arm, cost in there.items() if arm not in excluded}
            if not there:
                raise NoEligibleArm(excluded)
        costs = expected_costs(self.view, x, there)
        weight = self.cost_weight
        if self.goal is not None:
            weight = cost_weight_of(self.pace, self.goal)
            high = high_costs(self.view, x, there)
            costs = affordable_arms(costs, high, affordable_usd(self.pace, self.goal))
        scores = score(self.view.posterior, list(costs), x, list(costs.values()), weight, signals)
        chosen = sample(self.policy.pmf(scores), self.rng)
        arm = scores.arms[chosen]
        if self.watch is not None:
            self.watch.expected.append(Expected(float(scores.mean[chosen]), self.version))
        self.booked.append(Booked(there[arm], costs[arm], clip_expected_reward(float(scores.mean[chosen]))))
        self._book(1, *self.booked[-1][1:])
        return arms.index(arm)

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        if decision in self.counted:
            return
        self.counted.add(decision)
        name = self.learned.rewards.arms[arm]
        root = root_of(cost_usd, self.booked[decision].listed_usd)
        heard = Heard(decision, name, x, quality, root, self.latencies_s.pop(decision, None))
        self._count(heard)
        booked = self.booked[decision]
        self._book(0, cost_usd - booked.expected_usd, quality - booked.expected_quality)
        if self.watch is not None:
            self.heard.append(heard)
            self.watch.hear(decision, name, quality, self.version + 1)
            self._reset_drifted(self.watch)
        if len(self.counted) >= self._next:
            self._publish()

    def time(self, decision: int, latency_s: float) -> None:
        if decision not in self.counted:
            self.latencies_s[decision] = latency_s

    def _count(self, heard: Heard) -> None:
        rewards, costs, latencies, _ = self.learned
        rewards.observe(heard.arm, heard.x, heard.quality, float(heard.decision))
        if heard.root is not None:
            costs.observe(heard.arm, heard.x, heard.root, float(heard.decision))
        if heard.latency_s is not None:
            latencies.observe(heard.arm, heard.x, heard.latency_s, float(heard.decision))

    def _reset_drifted(self, watch: Watch) -> None:
        rewards = self.learned.rewards
        found = watch.look(dict(zip(rewards.arms, rewards.count.tolist(), strict=True)))
        if found is None:
            return
        arm, gap = found
        for part in self.learned.components:
            part.forget(arm)
        self.heard = [one for one in self.heard if one.arm != arm or one.decision >= gap.late_since]
        for one in self.heard:
            if one.arm == arm:
                self._count(one)
        self._publish()
        watch.since[arm] = self.version

    def _book(self, requests: int, spent_usd: float, earned: float) -> None:
        if self.goal is not None:
            self.pace = advance(
                self.pace,
                self.goal,
                requests=requests,
                spent_usd=spent_usd,
                earned=earned,
                now=float(len(self.booked)),
            )

    def _publish(self) -> None:
        rewards, costs, latencies, _ = self.learned.copy()
        self.version += 1
        self.view = PublishedModel(
            version=self.version,
            arms_revision=0,
            posterior=rewards,
            costs=costs,
            arms=(),
            latencies=latencies,
        )
        self._next = max(len(self.counted) + 1.0, _GROWTH * len(self.counted))


@dataclass(frozen=True, slots=True)
class RouterMaker:
    """Makes a :class:`RouterAgent` with this policy; ``half_life_s`` counts in queries here.

    Labelled queries are a warm start, which counts for ``trust`` queries.
    """

    spec: str
    posterior: PosteriorSection = field(default_factory=PosteriorSection)
    goal: Goal | None = None
    trust: float | None = None
    trial: TrialSection = field(default_factory=TrialSection)
    deadline: Deadline | None = None

    def __call__(self, setting: Setting) -> RouterAgent:
        section = self.posterior
        rewards = Posterior.empty(
            _priors(section, setting),
            schema_id=_SCHEMA,
            noise_variance=section.noise_std**2,
            half_life_s=section.half_life_s,
            hyperprior=make_hyperprior(section),
        )
        learned = ModelState(rewards, empty_costs(rewards), empty_latencies(rewards))
        if setting.labelled is not None:
            learned = with_warm_start(learned, _evidence(setting.labelled), self.trust, since=0.0)
        return RouterAgent(
            learned=learned,
            policy=put_on_trial(parse_policy(self.spec), **self.trial.model_dump()),
            cost_weight=setting.cost_weight,
            rng=setting.rng,
            goal=self.goal,
            watch=Watch() if section.on_drift == "reset" else None,
            deadline=self.deadline,
        )


def _priors(section: PosteriorSection, setting: Setting) -> dict[str, Prior]:
    """Expected by list cost; the usual one is the geometric mean of the arms that are not free."""
    charged = setting.list_usd[setting.list_usd > 0.0]
    usual = float(np.exp(np.log(charged).mean())) if charged.size else 1.0
    expected = [expected_by_price(section, float(usd), usual) for usd in setting.list_usd]
    return {
        arm: make_prior(section, setting.dim, one) for arm, one in zip(setting.arms, expected, strict=True)
    }


def _evidence(labelled: Stream) -> Evidence:
    root = roots(labelled.cost_usd, labelled.expected_cost_usd)
    return evidence_of_labels(labelled.arms, _SCHEMA, labelled.x, labelled.quality, root, labelled.name)
