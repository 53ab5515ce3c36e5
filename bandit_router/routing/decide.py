"""Decide: request and published model in, decision out; pure, without I/O, clock or state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from bandit_router.errors import ArmExcluded
from bandit_router.features import TaskSource
from bandit_router.policies import Policy, select_arms
from bandit_router.policies.pmf import one_hot_pmf
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.cost import predict_cost_ratios, predict_high_cost_ratios
from bandit_router.posterior.state import SolvedState
from bandit_router.routing.eligibility import Limits, check_arm_names, exclude_low_quality, filter_arms
from bandit_router.routing.precedence import Pin, StickyConversation, apply_precedence
from bandit_router.types import (
    NO_SIGNALS,
    NO_TASK,
    RATED_SHARE,
    Arm,
    Decision,
    FloatArray,
    Reason,
    Scores,
    Signals,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One call to route, checked. ``cost_weight`` is in 1/USD.

    With ``since``, the conversation keeps its arm unless its newest decision is before that Unix time,
    seconds. ``kept`` is the conversation as stored, None before it began. ``fallback`` says that the call of
    ``parent`` failed, so that the choice is between fewer arms than the policy would have. ``pinned_arm`` is
    the one that the owner has all traffic go to. ``key_id`` is the caller's API key,
    ``task`` the number of its task, ``task_source`` what names it as long as it has none.
    ``policy`` is that of the stage of a rollout, None without one; ``drawn`` are the signals that a decision
    of the policy has of the stage, and of what the policy may decide.
    """

    x: FloatArray
    cost_weight: float
    limits: Limits
    conversation: str | None = None
    idempotency_key: str | None = None
    query: str | None = None
    user: str | None = None
    signals: Signals = field(default_factory=dict)
    parent: str | None = None
    fallback: bool = False
    since: float | None = None
    kept: StickyConversation | None = None
    pinned_arm: str | None = None
    key_id: str | None = None
    task: int = NO_TASK
    task_source: TaskSource | None = None
    policy: Policy | None = None
    drawn: Signals = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedModel:
    """The model a worker decides with until the next refresh: one snapshot, solved, and its arms.

    ``as_of`` is the time of the newest decision that it has learned from, Unix time, seconds.
    """

    version: int
    arms_revision: int
    state: SolvedState
    arms: tuple[Arm, ...]
    as_of: float = -math.inf


def score_arms(
    posterior: Posterior,
    names: Sequence[str],
    x: FloatArray,
    costs_usd: Sequence[float],
    cost_weight: float,
    signals: Signals = NO_SIGNALS,
    task: int = NO_TASK,
) -> Scores:
    """Score the named arms at x on a task: u = mean − λ · cost, with the posterior's mean and std."""
    (mean, std), counted = posterior.predict(x, task), posterior.reward_counts
    arms = tuple(names)
    if arms != posterior.arms:
        rows = [posterior.index(arm) for arm in arms]
        mean, std, counted = mean[rows], std[rows], counted[rows]
    cost = np.array(costs_usd)
    utility = mean - cost_weight * cost if cost_weight else mean
    return Scores(arms, x, mean, std, cost, utility, signals, counted)


def predict_costs(
    view: PublishedModel, x: FloatArray, listed_usd: Mapping[str, float], task: int = NO_TASK
) -> dict[str, float]:
    """Expected cost of a call of each arm at x (d,) on a task, USD, from its list cost."""
    return _multiply_list_costs(view.state.costs, predict_cost_ratios(view.state.costs, x, task), listed_usd)


def predict_high_costs(
    view: PublishedModel, x: FloatArray, listed_usd: Mapping[str, float], task: int = NO_TASK
) -> dict[str, float]:
    """The cost, USD, that a call of each arm at x (d,) on a task exceeds rarely, from its list cost."""
    ratios = predict_high_cost_ratios(view.state.costs, x, task)
    return _multiply_list_costs(view.state.costs, ratios, listed_usd)


def _multiply_list_costs(
    costs: Posterior, ratios: FloatArray, listed_usd: Mapping[str, float]
) -> dict[str, float]:
    factors = ratios.tolist()
    return {arm: listed * factors[costs.index(arm)] for arm, listed in listed_usd.items()}


def decide(
    view: PublishedModel,
    policy: Policy,
    schema_id: str,
    request: Request,
    *,
    id: str,
    now: float,
    rng: np.random.Generator,
) -> Decision:
    """Filter the arms, score them, apply precedence, else sample from the policy's PMF.

    Raises NoEligibleArm or InvalidInput.
    """
    if request.pinned_arm in [arm.name for arm in view.arms]:
        check_arm_names(view.arms, request.limits)
        with suppress(ArmExcluded):  # this request cannot go there
            return _decide(view, policy, schema_id, _pin_request(request), id=id, now=now, rng=rng)
    return _decide(view, policy, schema_id, request, id=id, now=now, rng=rng)


def _pin_request(request: Request) -> Request:
    """The request as one for the arm that all traffic goes to, whatever the caller names."""
    assert request.pinned_arm is not None
    pin = Pin(request.pinned_arm, Reason.PINNED, "all traffic is pinned to")
    return replace(request, limits=request.limits._replace(pin=pin, affordable_usd=math.inf))


def _decide(
    view: PublishedModel,
    policy: Policy,
    schema_id: str,
    request: Request,
    *,
    id: str,
    now: float,
    rng: np.random.Generator,
) -> Decision:
    policy = request.policy or policy
    listed = {arm.name: arm.expected_cost_usd(request.limits.input_tokens) for arm in view.arms}
    expected = predict_costs(view, request.x, listed, request.task)
    high = None
    if request.limits.affordable_usd < math.inf:
        high = predict_high_costs(view, request.x, listed, request.task)
    arms, excluded = filter_arms(view.arms, request.limits, expected, view.state.latencies, high)
    costs = [expected[arm.name] for arm in arms]
    names = [arm.name for arm in arms]
    signals = _add_rated_share(request.signals, view.state.rated_share)
    scores = score_arms(
        view.state.rewards, names, request.x, costs, request.cost_weight, signals, request.task
    )
    if request.limits.min_quality > 0.0 and request.limits.pin is None:
        below = exclude_low_quality(scores, request.limits.min_quality)
        scores = select_arms(scores, [k for k, arm in enumerate(scores.arms) if arm not in below])
        excluded |= below
    kept = request.kept
    settled = apply_precedence(request.limits.pin, kept, scores, request.cost_weight)
    if settled is None:
        scores = scores._replace(signals={**signals, **request.drawn}) if request.drawn else scores
        pmf, chosen, noted = policy.draw(scores, rng)
        signals = {**scores.signals, **noted} if noted else scores.signals
        is_first = kept is None and not request.fallback
        reason = policy.reason(scores) if is_first else Reason.FALLBACK
    else:
        chosen, reason = settled
        pmf = one_hot_pmf(len(scores.arms), chosen)
    return Decision(
        id=id,
        decided_at=now,
        x=request.x,
        schema_id=schema_id,
        eligible=scores.arms,
        pmf=tuple(pmf),
        expected_costs_usd=tuple(scores.cost_usd.tolist()),
        arm=scores.arms[chosen],
        propensity=pmf[chosen],
        reason=reason,
        policy=policy.spec,
        snapshot=view.version,
        cost_weight=request.cost_weight,
        expected_quality=float(scores.mean[chosen]),
        expected_cost_usd=float(scores.cost_usd[chosen]),
        list_cost_usd=listed[scores.arms[chosen]],
        conversation=request.conversation,
        parent=kept.conversation.choice if kept and reason is Reason.PROMOTION else request.parent,
        idempotency_key=request.idempotency_key,
        query=request.query,
        user=request.user,
        signals=signals,
        excluded=excluded,
        key_id=request.key_id,
        task=request.task,
        greedy_utility=float(scores.utility.max()),
    )


def _add_rated_share(signals: Signals, share: float) -> Signals:
    """The signals with the share of answers that are rated, unless all are."""
    return signals if share == 1.0 else {**signals, RATED_SHARE: share}
