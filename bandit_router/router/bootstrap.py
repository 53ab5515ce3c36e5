"""Bootstrap: build a router's components from the settings, and apply the settings to its database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bandit_router.cascade.escalation_rule import EscalationRule, make_escalation_rule
from bandit_router.errors import ConfigError, InvalidInput, SchemaMismatch
from bandit_router.features import Pipeline, build_pipeline
from bandit_router.learning.learner import Learner, make_learner
from bandit_router.policies import (
    Policy,
    check_named_arms,
    list_computed_signals,
    make_policy,
    reserve_trial_share,
)
from bandit_router.posterior.state import encode_state
from bandit_router.routing.precedence import check_workflows
from bandit_router.settings import Settings
from bandit_router.signals import Signaller, make_signallers
from bandit_router.store.clock import Clock
from bandit_router.store.store import Store
from bandit_router.types import Arm


class Components(NamedTuple):
    """The components of a router; whoever holds them closes the store."""

    settings: Settings
    policy: Policy
    pipeline: Pipeline
    signallers: tuple[Signaller, ...]
    store: Store
    learner: Learner
    rule: EscalationRule | None


def build_components(settings: Settings, host_time: Callable[[], float] = time.time) -> Components:
    """The components of a router, on its database, which is created when it is an empty SQLite file.

    Raises ConfigError, SchemaVersionError, SchemaMismatch or StoreError.
    """
    policy = make_policy(settings.policy.name, settings.policy.parameters)
    pipeline = build_pipeline(**settings.features.model_dump())
    signallers = make_signallers(settings, pipeline.schema_id, pipeline.dim, list_computed_signals(policy))
    clock = Clock(settings.store.clock_tolerance_s, host_time)
    store = Store.open(settings.store.url, settings.router.name, settings.goal(), clock=clock)
    try:
        learner = make_learner(store, settings, pipeline.schema_id, pipeline.dim)
        apply_settings(store, learner, [section.arm() for section in settings.arms])
        arms = store.arms()
        _check_arms_exist(settings, policy, [arm.name for arm in arms])
        return Components(
            settings=settings,
            policy=reserve_trial_share(policy, **settings.trial.model_dump()),
            pipeline=pipeline,
            signallers=signallers,
            store=store,
            learner=learner,
            rule=make_escalation_rule(settings, policy, arms),
        )
    except BaseException:
        store.close()
        raise


def apply_settings(store: Store, learner: Learner, arms: Sequence[Arm]) -> None:
    """Create the router if missing, declare its arms, and align its posterior with the settings."""
    store.create_router(learner.schema_id, encode_state(learner.empty(())), learner.weights)
    with store.learner_transaction() as transaction:
        learned_from = transaction.read_schema_id()
        if learned_from != learner.schema_id:
            raise SchemaMismatch(
                "features",
                f"make contexts {learner.schema_id!r}, router {store.router!r} learned from {learned_from!r}",
                "restore the [features] settings, or give router.name a new name",
            )
        transaction.declare_arms(arms)
    learner.align_with_settings()


def _check_arms_exist(settings: Settings, policy: Policy, arms: Sequence[str]) -> None:
    """Raise ConfigError when the policy or a workflow names an arm that does not exist."""
    try:
        check_named_arms({policy.spec: policy}, arms)
    except InvalidInput as error:
        raise ConfigError(str(error)) from error
    off = [section.name for section in settings.arms if not section.enabled]
    check_workflows(settings.workflow_arms(), arms=arms, disabled=off)
