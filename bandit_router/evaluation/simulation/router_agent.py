"""bandit-router as an agent: the live router's decisions, sums and snapshots, in one process."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.drift_monitor import DriftMonitor
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.learning.quantities import empty_state
from bandit_router.learning.rated_share import estimate_rated_share
from bandit_router.learning.safety import (
    SafetyBook,
    add_decisions,
    bound_loss,
    find_share,
    predict_loss,
    settle_loss,
)
from bandit_router.objective.pacing import (
    PacingState,
    advance_pacing,
    affordable_usd,
    clip_expected_reward,
    compute_cost_weight,
)
from bandit_router.objective.safety import SafetyGoal
from bandit_router.policies import (
    Policy,
    bind_to_baseline,
    explore_where_heard,
    parse_policy,
    reserve_trial_share,
)
from bandit_router.posterior.arm_priors import expected_reward_at_price, make_hyperprior, make_level_prior
from bandit_router.posterior.cost import compute_cost_root, compute_cost_roots
from bandit_router.posterior.online import next_solve
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import ModelState, apply_warm_start
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.posterior.warm_start import WarmStartEvidence, evidence_from_labels
from bandit_router.routing.deadline import Deadline
from bandit_router.routing.decide import PublishedModel, Request, decide
from bandit_router.routing.eligibility import Limits
from bandit_router.settings.learning import PosteriorSection
from bandit_router.settings.policy import TrialSection
from bandit_router.settings.routing import RouterSection
from bandit_router.store.rated_decisions import NEWEST
from bandit_router.store.rollups.measures import USUAL
from bandit_router.types import (
    SAFETY_SHARE,
    Arm,
    BoolArray,
    Decision,
    FloatArray,
    Goal,
    Reason,
    Signals,
)

_SCHEMA = "simulation"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedArm(Arm):
    """An arm of a stream, whose price list gives the cost of a call whatever the length of the prompt."""

    list_usd: float

    def expected_cost_usd(self, input_tokens: int) -> float:
        del input_tokens
        return self.list_usd


class CountedOutcome(NamedTuple):
    """An outcome that was learned: √(cost / list cost) is ``root``; None where unknown."""

    decision: int
    arm: str
    x: FloatArray
    task: int
    quality: float
    root: float | None
    latency_s: float | None
    weight: float = 1.0


@dataclass(slots=True)
class RouterAgent:
    """A router in one process: every choice is a :func:`~bandit_router.routing.decide.decide`.

    Feedback that comes twice counts once, as the store ensures. A live router publishes a snapshot every
    second; this one publishes when it knows a twentieth more than in the last. With a ``goal`` the cost
    weight is paced and too dear arms are excluded; a query takes a second. With a ``monitor`` drifted arms
    are reset. With a ``deadline``, which then applies to every query, late arms are excluded; NoEligibleArm
    if that excludes all. With ``safety``, which its policy is bound by, the share is found anew with every
    hundredth more decisions.
    """

    state: ModelState
    policy: Policy
    cost_weight: float
    rng: np.random.Generator
    goal: Goal | None = None
    pacing: PacingState = field(default_factory=PacingState)
    monitor: DriftMonitor | None = None
    deadline: Deadline | None = None
    safety: SafetyGoal | None = None
    decisions: list[Decision] = field(default_factory=list)
    counted: set[int] = field(default_factory=set)
    outcomes: list[CountedOutcome] = field(default_factory=list)
    latencies_s: dict[int, float] = field(default_factory=dict)
    delays: list[int] = field(default_factory=list)
    version: int = 0
    model: PublishedModel = field(init=False)
    book: SafetyBook = field(init=False)
    drawn: Signals = field(init=False, default_factory=dict)
    _listed: tuple[bytes, bytes] | None = field(init=False, default=None)
    _next: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        self.book = SafetyBook.empty(self.state.rewards.arms, self.state.rewards.dim)
        self._publish()

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        self._list_arms(eligible, expected_cost_usd)
        weight, most_usd = self.cost_weight, math.inf
        if self.goal is not None:
            weight = compute_cost_weight(self.pacing, self.goal)
            most_usd = affordable_usd(self.pacing, self.goal)
        limits = Limits(input_tokens=0, affordable_usd=most_usd, deadline=self.deadline)
        number = len(self.decisions)
        decision = decide(
            self.model,
            self.policy,
            _SCHEMA,
            Request(x=x, cost_weight=weight, limits=limits, signals=signals, task=task, drawn=self.drawn),
            id=str(number),
            now=float(number),
            rng=self.rng,
        )
        self.decisions.append(decision)
        self._book(1, decision.expected_cost_usd, clip_expected_reward(decision.expected_quality))
        self._book_loss(decision)
        return self.state.rewards.arms.index(decision.arm)

    def learn(
        self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float, weight: float = 1.0
    ) -> None:
        if decision in self.counted:
            return
        self.counted.add(decision)
        self.delays.append(len(self.decisions) - 1 - decision)
        logged = self.decisions[decision]
        root = compute_cost_root(cost_usd, logged.list_cost_usd)
        latency = self.latencies_s.pop(decision, None)
        outcome = CountedOutcome(
            decision, self.state.rewards.arms[arm], x, logged.task, quality, root, latency, weight
        )
        self._count(outcome)
        expected = clip_expected_reward(logged.expected_quality)
        self._book(0, cost_usd - logged.expected_cost_usd, quality - expected)
        self.outcomes.append(outcome)
        if self.monitor is not None:
            self.monitor.record(logged, quality, self.version + 1, now=float(len(self.decisions) - 1))
            self._reset_drifted(self.monitor)
        if len(self.counted) >= self._next:
            self._publish()

    def time(self, decision: int, latency_s: float) -> None:
        if decision not in self.counted:
            self.latencies_s[decision] = latency_s

    def leave_out(self, decisions: Collection[int]) -> None:
        """Count all outcomes anew, without those of these decisions."""
        self.outcomes = [outcome for outcome in self.outcomes if outcome.decision not in decisions]
        self.state = self.state.without_evidence()
        for outcome in self.outcomes:
            self._count(outcome)
        self._publish()

    def _list_arms(self, eligible: BoolArray, expected_cost_usd: FloatArray) -> None:
        """Put the arms of a query and their list costs into the model, if they are not those of the last."""
        listed = eligible.tobytes(), expected_cost_usd.tobytes()
        if listed == self._listed:
            return
        names, costs = self.state.rewards.arms, expected_cost_usd.tolist()
        arms = tuple(
            ListedArm(
                name=name,
                provider=_SCHEMA,
                model=name,
                input_usd_per_mtok=0.0,
                output_usd_per_mtok=0.0,
                enabled=enabled,
                list_usd=usd,
            )
            for name, enabled, usd in zip(names, eligible.tolist(), costs, strict=True)
        )
        self.model, self._listed = replace(self.model, arms=arms), listed

    def _count(self, outcome: CountedOutcome) -> None:
        rewards, costs, latencies = self.state.rewards, self.state.costs, self.state.latencies
        arm, x, at, task = outcome.arm, outcome.x, float(outcome.decision), outcome.task
        rewards.observe(arm, x, outcome.quality, at, outcome.weight, task)
        if outcome.root is not None:
            costs.observe(arm, x, outcome.root, at, outcome.weight, task)
        if outcome.latency_s is not None:
            latencies.observe(arm, x, outcome.latency_s, at, outcome.weight)

    def _reset_drifted(self, monitor: DriftMonitor) -> None:
        rewards = self.state.rewards
        drifted = monitor.find_drifted(dict(zip(rewards.arms, rewards.count.tolist(), strict=True)))
        if drifted is None:
            return
        arm, gap = drifted
        if self.safety is not None:
            lost = predict_loss(self.book, self.model.state.rewards)
            self.book = settle_loss(self.book, bound_loss(lost, self.book.decisions, self.safety))
        for component in self.state.components.values():
            component.forget(arm)
        self.outcomes = [o for o in self.outcomes if o.arm != arm or o.decision >= gap.late_since]
        for outcome in self.outcomes:
            if outcome.arm == arm:
                self._count(outcome)
        self._publish()
        monitor.reset_at[arm] = self.version

    def _book(self, requests: int, spent_usd: float, earned: float) -> None:
        if self.goal is not None:
            self.pacing = advance_pacing(
                self.pacing,
                self.goal,
                requests=requests,
                spent_usd=spent_usd,
                earned=earned,
                now=float(len(self.decisions)),
            )

    def _book_loss(self, decision: Decision) -> None:
        if self.safety is None:
            return
        self.book = add_decisions(self.book, [decision], self.model.state.rewards, self.safety)
        if len(self.decisions) % max(1, len(self.decisions) // 100) == 0:
            self._find_share()

    def _find_share(self) -> None:
        if self.safety is not None:
            share = find_share(self.book, self.model.state.rewards, self.safety)
            self.drawn = {SAFETY_SHARE: share}

    def _measure_rated_share(self) -> float:
        """Of the newest decisions that are as old as outcomes usually are when they come."""
        if not self.delays:
            return 1.0
        usual = int(np.quantile(self.delays, USUAL, method="higher"))
        end = len(self.decisions) - usual
        drawn = [i for i in range(max(0, end - NEWEST), end) if self.decisions[i].reason is Reason.POLICY]
        return estimate_rated_share(len(drawn), sum(i in self.counted for i in drawn))

    def _publish(self) -> None:
        self.version += 1
        self.state = replace(self.state, rated_share=self._measure_rated_share())
        self.model = PublishedModel(
            version=self.version,
            arms_revision=0,
            state=self.state.solve(),
            arms=self.model.arms if self._listed else (),
        )
        self._next = next_solve(len(self.counted))
        self._find_share()


@dataclass(frozen=True, slots=True)
class RouterMaker:
    """Makes a :class:`RouterAgent` with this policy; ``half_life_s`` counts queries here.

    Labelled queries are a warm start that counts for ``trust`` queries. ``heard`` explores only on queries
    with the signal that they will be rated. ``safety`` bounds what may be lost to a baseline.
    """

    spec: str
    posterior: PosteriorSection = field(default_factory=PosteriorSection)
    goal: Goal | None = None
    trust: float | None = None
    trial: TrialSection = field(default_factory=TrialSection)
    heard: bool = False
    deadline: Deadline | None = None
    safety: SafetyGoal | None = None

    def __call__(self, setting: Setting) -> RouterAgent:
        section = self.posterior
        rewards = SufficientStatistics.empty(
            _make_priors(section, setting),
            schema_id=_SCHEMA,
            noise_variance=section.noise_std**2,
            half_life_s=section.half_life_s,
            hyperprior=make_hyperprior(section),
        )
        state = empty_state(rewards)
        if setting.labelled is not None:
            state = apply_warm_start(state, _evidence_of(setting.labelled), self.trust, since=0.0)
        policy = reserve_trial_share(parse_policy(self.spec), **self.trial.model_dump())
        if self.heard:
            policy = explore_where_heard(policy, RouterSection().unrated_epsilon)
        if self.safety is not None:
            policy = bind_to_baseline(policy, self.safety.baseline)
        return RouterAgent(
            state=state,
            policy=policy,
            cost_weight=setting.cost_weight,
            rng=setting.rng,
            goal=self.goal,
            monitor=DriftMonitor() if section.on_drift == "reset" else None,
            deadline=self.deadline,
            safety=self.safety,
        )


def _make_priors(section: PosteriorSection, setting: Setting) -> dict[str, Prior]:
    """Priors by list cost; the reference cost is the geometric mean of the arms that are not free."""
    charged = setting.list_usd[setting.list_usd > 0.0]
    reference = float(np.exp(np.log(charged).mean())) if charged.size else 1.0
    expected = [expected_reward_at_price(section, float(usd), reference) for usd in setting.list_usd]
    return {
        arm: make_level_prior(section, setting.dim, reward)
        for arm, reward in zip(setting.arms, expected, strict=True)
    }


def _evidence_of(labelled: Stream) -> WarmStartEvidence:
    root = compute_cost_roots(labelled.cost_usd, labelled.expected_cost_usd)
    return evidence_from_labels(
        labelled.arms, _SCHEMA, labelled.x, labelled.quality, root, labelled.name, labelled.task
    )
