"""Negative controls: broken parts of which a campaign must say that they lose or double something."""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

from bandit_router.cli.connect import open_quiet_router
from bandit_router.learning.learner import NAMES
from bandit_router.posterior.state import decode_state
from bandit_router.store.learner_transaction import LearnerTransaction
from tests.durability.campaign.nouns import SQLITE, Control, Site
from tests.durability.campaign.traffic import ANSWERS
from tests.durability.helpers import plain, quality
from tests.durability.locks import kill_while_held_up
from tests.durability.workers import hasty_conversations


def answer_before_the_commit(site: Site) -> None:
    """A writer that answers before its commit is killed while nothing can be committed."""
    wait = partial(site.told.wait_for, ANSWERS)
    kill_while_held_up(site.config, site.told.path, hasty_conversations, wait)


def publish_without_the_version_check(site: Site) -> None:
    """A learner adds the marks that it read to a snapshot that counts them: another one was faster."""
    with open_quiet_router(site.config) as one, open_quiet_router(site.config) as other:
        for _ in range(10):
            decision = one.route(features=[1.0, 0.0, 0.0, 0.0])
            site.told.note("decision", plain(decision))
            one.feedback(decision.id, quality=quality(decision.id, 1))
            site.told.note("feedback", decision.id, 1)
        batch = other._store.pending_batch(NAMES, 10)
        assert batch is not None
        one.learn()
        state = decode_state(other._store.published()[2])
        with (
            patch.object(LearnerTransaction, "require_head", lambda *_: None),
            patch.object(LearnerTransaction, "take_marks", lambda *_: None),
        ):
            other._learner.publish_fold(batch, state)


CONTROLS = (
    Control(
        "a writer that answers before its commit loses answers",
        SQLITE,
        answer_before_the_commit,
        lambda findings: bool(findings.lost_decisions),
    ),
    Control(
        "a learner without the version check counts twice",
        SQLITE,
        publish_without_the_version_check,
        lambda findings: bool(findings.doubled),
    ),
)
