"""Which settings a router runs with: those it was opened with, or those in force in the database.

Settings are shared by all workers, so opening a router must not undo what another one put in force. New
settings are applied; settings that were superseded, such as those of an old replica that restarts, are not.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from bandit_router.errors import ConfigError
from bandit_router.learning.learner import Learner, make_learner
from bandit_router.settings import Settings
from bandit_router.settings.shared import (
    compute_fingerprint,
    describe_differences,
    dump_shared,
    restore_shared,
)
from bandit_router.store.applied_settings import AppliedSettings
from bandit_router.store.store import Store

log = logging.getLogger(__name__)

_UNREADABLE = "the settings in force cannot be read by this version, which uses its own: %s"

Apply = Literal["new", "always", "never"]
"""When to put the settings in force: if they never were before, in any case, or only in an empty database."""


class SettledSettings(NamedTuple):
    """The settings to run with, and those that were ``in_force`` when they were chosen.

    ``new`` is what to put in force instead, if anything. ``declares`` says whether to write the arms, and
    ``aligns`` whether to bring the posterior in line.
    """

    settings: Settings
    in_force: AppliedSettings | None
    new: AppliedSettings | None = None
    declares: bool = True
    aligns: bool = True

    @property
    def id(self) -> int | None:
        """The id of the settings in force from now on; None when none are on record."""
        applied = self.new or self.in_force
        return None if applied is None else applied.id

    def describe_changes(self) -> list[str]:
        """What the new settings change; nothing if they are the first, or there are none."""
        if self.in_force is None or self.new is None:
            return []
        return describe_differences(self.in_force.settings, self.new.settings)


def settle_settings(store: Store, own: Settings, apply: Apply) -> SettledSettings:
    """Choose between ``own`` settings and those in force, and log what is different."""
    in_force, new = store.settings_in_force(), _record(own)
    if in_force is None:
        created = store.head() is None  # else the router is older than the record of settings
        aligns = created or apply != "never"
        return SettledSettings(own, None, new if aligns else None, aligns, aligns)
    differences = describe_differences(in_force.settings, new.settings)
    if not differences:
        return SettledSettings(own, in_force, declares=apply != "never")
    applied_before = apply == "new" and store.settings_first_applied(new.fingerprint) is not None
    if apply == "never" or applied_before:
        return _keep_in_force(own, in_force, "; ".join(differences), superseded=applied_before)
    log.warning("the settings change for every worker: %s", "; ".join(differences))
    return SettledSettings(own, in_force, new._replace(id=in_force.id + 1))


def _keep_in_force(
    own: Settings, in_force: AppliedSettings, differences: str, *, superseded: bool
) -> SettledSettings:
    """The settings in force instead of ``own``; those of a newer version, which cannot be read, are not."""
    try:
        settings = restore_shared(own, in_force.settings)
    except ConfigError as error:
        log.warning(_UNREADABLE, error)
        return SettledSettings(own, in_force, declares=False, aligns=False)
    log.warning(
        "%s, so the settings in force since %s are used; `bandit-router apply -c FILE` would change %s",
        "these settings were superseded" if superseded else "this command applies no settings",
        datetime.fromtimestamp(in_force.applied_at, UTC).isoformat(timespec="seconds"),
        differences,
    )
    return SettledSettings(settings, in_force, declares=superseded)


def follow_settings(store: Store, learner: Learner, own: Settings) -> Learner:
    """The learner of the settings that another worker put in force, which is logged.

    What is learned must not depend on who learns it. Decisions go on by ``own`` settings.
    """
    in_force = store.settings_in_force()
    if in_force is None:
        return replace(learner, settings_id=None)
    log.warning(
        "another worker changed the settings; this one learns by them, and decides by its own until it is "
        "restarted: %s",
        "; ".join(describe_differences(dump_shared(own), in_force.settings)) or "no difference",
    )
    try:
        settings = restore_shared(own, in_force.settings)
    except ConfigError as error:
        log.warning(_UNREADABLE, error)
        return replace(learner, settings_id=in_force.id)
    return make_learner(store, settings, learner.prior.schema_id, learner.prior.dim, in_force.id)


def _record(settings: Settings) -> AppliedSettings:
    """The record of these settings as the first that are put in force."""
    shared = dump_shared(settings)
    return AppliedSettings(1, compute_fingerprint(shared), shared, time.time())
