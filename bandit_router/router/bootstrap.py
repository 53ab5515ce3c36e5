"""Bootstrap: build a router's components from the settings, and apply the settings to its database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bandit_router.cascade.escalation_rule import EscalationRule, make_escalation_rule
from bandit_router.errors import ConfigError, InvalidInput, SchemaMismatch
from bandit_router.features import Pipeline, build_pipeline
from bandit_router.learning.learner import Learner, SupersededSettings, make_learner
from bandit_router.objective.safety import SafetyGoal
from bandit_router.policies import (
    Policy,
    bind_to_baseline,
    check_named_arms,
    explore_where_heard,
    list_computed_signals,
    make_policy,
    reserve_trial_share,
)
from bandit_router.posterior.state import encode_state
from bandit_router.router.applied_settings import Apply, SettledSettings, settle_settings
from bandit_router.router.rollout import RolloutPlan, make_rollout_plan, read_incumbent
from bandit_router.routing.precedence import check_workflows
from bandit_router.settings import Settings
from bandit_router.settings.safety import SafetySection
from bandit_router.signals import Signaller, make_signallers
from bandit_router.store.clock import Clock
from bandit_router.store.goal_tracker import GoalTracker
from bandit_router.store.learner_transaction import LearnerTransaction, StaleRead
from bandit_router.store.safety import declare_safety
from bandit_router.store.store import Store
from bandit_router.store.timeouts import Timeouts
from bandit_router.types import Arm

log = logging.getLogger(__name__)


class Components(NamedTuple):
    """The components of a router; whoever holds them closes the store.

    ``only_looks`` says that the router was opened to look, so that opening it must change nothing.
    """

    settings: Settings
    only_looks: bool
    policy: Policy
    pipeline: Pipeline
    signallers: tuple[Signaller, ...]
    store: Store
    learner: Learner
    rule: EscalationRule | None
    rollout: RolloutPlan | None


def build_components(
    own: Settings, apply: Apply = "new", host_time: Callable[[], float] = time.time
) -> Components:
    """The components of a router, on its database, which is created when it is an empty SQLite file.

    ``apply`` says when ``own`` settings are put in force, for every worker. Raises ConfigError,
    SchemaVersionError, SchemaMismatch or StoreError.
    """
    make_policy(own.policy.name, own.policy.parameters)  # wrong settings are an error, in force or not
    read_incumbent(own.rollout)
    clock = Clock(own.store.clock_tolerance_s, host_time)
    timeouts = Timeouts.of(own.store)
    to_look = apply == "never"
    store = Store.open(own.store.url, own.router.name, to_look=to_look, clock=clock, timeouts=timeouts)
    try:
        while True:
            try:
                return _build(settle_settings(store, own, apply), store)
            except (StaleRead, SupersededSettings):  # another worker put its settings in force meanwhile
                continue
    except BaseException:
        store.close()
        raise


def _build(settled: SettledSettings, store: Store) -> Components:
    """The components for the settings that were chosen.

    Raises StaleRead or SupersededSettings when others were put in force meanwhile.
    """
    settings = settled.settings
    policy = make_policy(settings.policy.name, settings.policy.parameters)
    candidate = _wrap_policy(policy, settings)
    rollout = make_rollout_plan(settings.rollout, candidate)
    live = candidate if rollout is None else rollout.policy
    pipeline = build_pipeline(**settings.features.pipeline())
    signallers = make_signallers(settings, pipeline.schema_id, pipeline.dim, list_computed_signals(live))
    store.pacing = GoalTracker(settings.goal())
    learner = make_learner(store, settings, pipeline.schema_id, pipeline.dim, settings_id=settled.id)
    if settled.declares:
        _declare_settings(store, learner, settled, rollout)
    else:
        store.head()  # reads the book of the goal
    if settled.aligns and not store.read_only:
        learner.align_with_settings()
    arms = store.arms()
    _check_arms_exist(settings, live, [arm.name for arm in arms])
    return Components(
        settings=settings,
        only_looks=not settled.declares,
        policy=live,
        pipeline=pipeline,
        signallers=signallers,
        store=store,
        learner=learner,
        rule=make_escalation_rule(settings, policy, arms),
        rollout=rollout,
    )


def _wrap_policy(policy: Policy, settings: Settings) -> Policy:
    """The policy with trials of new arms, exploring where the settings say, and bound to a baseline.

    Raises ConfigError.
    """
    policy = reserve_trial_share(policy, **settings.trial.model_dump())
    if settings.router.explore == "heard":
        policy = explore_where_heard(policy, settings.router.unrated_epsilon)
    baseline = settings.safety.baseline
    if baseline is None:
        return policy
    if not policy.learns:
        raise ConfigError(
            f"safety.baseline: the policy {policy.spec!r} never learns, so that there is nothing to bind; "
            "leave out [safety], or choose a policy that learns"
        )
    return bind_to_baseline(policy, baseline)


def _declare_settings(
    store: Store, learner: Learner, settled: SettledSettings, rollout: RolloutPlan | None
) -> None:
    """Create the router if missing, put its settings in force, declare its arms, rollout and baseline.

    Raises ConfigError, SchemaMismatch or StaleRead.
    """
    schema_id = learner.prior.schema_id
    store.create_router(schema_id, encode_state(learner.prior.empty_state(())), learner.weights)
    in_force = settled.in_force
    with store.learner_transaction() as transaction:
        transaction.require_settings(None if in_force is None else in_force.id)
        learned_from = transaction.head.schema_id
        if learned_from != schema_id:
            raise SchemaMismatch(
                "features",
                f"make contexts {schema_id!r}, router {store.router!r} learned from {learned_from!r}",
                "restore the [features] settings, or give router.name a new name",
            )
        if settled.new is not None:
            transaction.put_settings_in_force(settled.new, settled.describe_changes())
        declared = [section.arm() for section in settled.settings.arms]
        _suggest_renames(transaction.read_arms(), declared)
        transaction.declare_arms(declared)
        contest = None if rollout is None else rollout.policy.contest
        transaction.declare_rollout(contest, settled.settings.rollout.share)
        _declare_safety(transaction, settled.settings.safety)


def _declare_safety(transaction: LearnerTransaction, section: SafetySection) -> None:
    """Keep the book of the settings' baseline, if they name one. Raises ConfigError if that is no arm."""
    if section.baseline is None:
        declare_safety(transaction, None)
        return
    arms = {arm.name: arm for arm in transaction.read_arms()}
    if section.baseline not in arms:
        names = ", ".join(arms)
        raise ConfigError(f"safety.baseline: {section.baseline!r} is not an arm; use one of {names}")
    if not arms[section.baseline].enabled:
        log.warning("safety.baseline: %r is off, so that nothing is bound until it is on", section.baseline)
    declare_safety(transaction, SafetyGoal(**section.model_dump()))


def _suggest_renames(known: Sequence[Arm], declared: Sequence[Arm]) -> None:
    """Warn of an arm that left the settings while a new one came with the same model."""
    names, models = {arm.name for arm in known}, {(arm.provider, arm.model): arm for arm in declared}
    kept = {arm.name for arm in declared}
    for arm in known:
        heir = models.get((arm.provider, arm.model))
        if arm.enabled and arm.name not in kept and heir is not None and heir.name not in names:
            log.warning(
                "arm %r left the settings and %r came with the same model, of which nothing is known: "
                "`bandit-router arms rename %s %s` keeps what was learned",
                *(arm.name, heir.name) * 2,
            )


def _check_arms_exist(settings: Settings, policy: Policy, arms: Sequence[str]) -> None:
    """Raise ConfigError when the policy or a workflow names an arm that does not exist."""
    try:
        check_named_arms({policy.spec: policy}, arms)
    except InvalidInput as error:
        raise ConfigError(str(error)) from error
    off = [section.name for section in settings.arms if not section.enabled]
    check_workflows(settings.workflow_arms(), arms=arms, disabled=off)
