"""Folds feedback into the next snapshot, whoever does it and however often; no route waits for it.

A fold reads marks and all it needs without a lock, computes the next state, and publishes in one short
transaction, unless another learner published meanwhile: then it starts over. A rebuild makes a new generation
of ``folded`` in pieces, beside the one in force, and puts it in force at the end.
What is counted of an observation, and only once: :mod:`bandit_router.learning.accumulate`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from bandit_router.errors import SnapshotCorrupt, StoreError
from bandit_router.learning import stored_warm_start
from bandit_router.learning.accumulate import apply_observations, recount
from bandit_router.learning.drift import NEWEST, RewardGap, calibrate, find_most_drifted_arm
from bandit_router.learning.model_prior import ModelPrior, make_model_prior
from bandit_router.learning.quantities import QUANTITIES, add_arms, learned_quantities
from bandit_router.learning.rated_share import estimate_rated_share
from bandit_router.learning.rollups import correct_rollups, fold_rollups
from bandit_router.objective.reward import list_weighted_metrics
from bandit_router.posterior.state import (
    CONFIDENT_REWARD,
    COST,
    REWARD,
    ModelState,
    apply_warm_start,
    decode_state,
    encode_state,
    read_rated_share,
)
from bandit_router.posterior.warm_start import WarmStartEvidence
from bandit_router.settings import Settings
from bandit_router.settings.serving import StoreSection
from bandit_router.store.acts import ActKind
from bandit_router.store.arm_reset import record_arm_reset
from bandit_router.store.learner_transaction import LearnerTransaction, RebuildUnderWay, StaleRead
from bandit_router.store.pending_batch import PendingBatch
from bandit_router.store.quarantine import quarantine_key, release_key
from bandit_router.store.recent_predictions import read_recent_rewards
from bandit_router.store.snapshots import SnapshotRetention
from bandit_router.store.store import Store
from bandit_router.store.users import delete_user
from bandit_router.types import Arm

log = logging.getLogger(__name__)

NAMES = tuple(quantity.name for quantity in QUANTITIES)
"""What is read of the record."""

_PIECE = 500  # decisions of a rebuild between two commits
_POLL_S = 0.05
_DELETED_ROWS = 2_000  # rows of an idle generation that are deleted in one transaction


class SupersededSettings(StoreError):
    """The settings that a learner is made from are not in force any more: it must not rebuild by them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """How rewards are made and learned. Stateless: everything it knows is in the store.

    ``settings_id`` names the settings that it is made from; a learner whose settings were superseded folds,
    and rebuilds nothing.
    """

    store: Store
    prior: ModelPrior
    weights: Mapping[str, float]
    batch: int
    keep_snapshots: SnapshotRetention
    settings_id: int | None = None

    # -- folding ----------------------------------------------------------------------------------

    def fold(self, *, wait: bool = False) -> int | None:
        """Fold at most ``batch`` pending marks and publish; of how many decisions.

        When another learner was faster: None, or with ``wait`` what that one left.
        """
        folded = self._fold(wait=wait)
        return None if folded is None else len(folded)

    def fold_all(self, *, wait: bool = False) -> int:
        """Fold until nothing is pending, roll-ups too; how many decisions. ``wait`` as for :meth:`fold`."""
        touched: set[str] = set()
        while folded := self._fold(wait=wait):
            touched |= folded
        fold_rollups(self.store)
        return len(touched)

    def _fold(self, *, wait: bool) -> set[str] | None:
        while (batch := self.store.pending_batch(NAMES, self.batch)) is not None:
            state = _decode_batch_state(batch.state, batch.head.version)
            if state is None:
                self.try_rebuild()
                continue
            try:
                self.publish_fold(batch, state)
            except StaleRead:
                if not wait:
                    return None
            else:
                return {observation.decision_id for observation in batch.observations}
        return set()

    def publish_fold(self, batch: PendingBatch, state: ModelState) -> None:
        """Publish the state with the batch in it, if it changes. Raises StaleRead."""
        weights = batch.head.reward_weights
        changes = apply_observations(state, batch.observations, weights)
        encoded = None
        if any(changes.values()):
            ratings = self.store.rated_decisions(list_weighted_metrics(weights))
            encoded = encode_state(replace(state, rated_share=estimate_rated_share(*ratings)))
        with self.store.learner_transaction() as transaction:
            transaction.require_head(batch.head)
            transaction.take_marks(batch.marks)
            if encoded is not None:
                transaction.record_counted(changes)
                transaction.publish(encoded, weights, keep=self.keep_snapshots)

    # -- rebuilding -------------------------------------------------------------------------------

    def rebuild(self, *, keep_older: bool = True) -> int:
        """Publish a state made from nothing but the log; how many rewards it counts.

        Waits for another rebuild that is under way. ``keep_older`` keeps older snapshots, as settings say.
        Raises SupersededSettings.
        """
        while (counted := self.try_rebuild(keep_older=keep_older)) is None:
            pass
        return counted

    def try_rebuild(self, *, keep_older: bool = True) -> int | None:
        """Rebuild once. None when another rebuild is under way, or what this one began with has changed."""
        try:
            counted = self._rebuild(keep_older)
        except RebuildUnderWay:
            time.sleep(_POLL_S)
            return None
        except StaleRead:  # it was taken for dead
            return None
        if counted is None:
            log.warning("arms, resets or a warm start changed during a rebuild: starting over")
        else:
            self._delete_idle_generations()
        return counted

    def _rebuild(self, keep_older: bool) -> int | None:
        """None when what it began with is not in force any more. Raises RebuildUnderWay or StaleRead."""
        with self.store.learner_transaction() as transaction:
            if transaction.head.settings_id != self.settings_id:
                raise SupersededSettings("other settings were applied meanwhile; rebuild again in a second")
            generation = transaction.begin_rebuild()
            state, arms_revision = self._empty_state(transaction), transaction.head.arms_revision
        counted = 0
        for observations in self.store.iterate_observations(_PIECE):
            changes = apply_observations(state, observations, self.weights)
            counted += len(changes[REWARD])
            with self.store.learner_transaction() as transaction:
                transaction.require_rebuild(generation)
                transaction.record_counted(changes, generation)
        correct_rollups(self.store, partial(self._require_rebuild, generation))
        with self.store.learner_transaction() as transaction:
            transaction.require_rebuild(generation)
            if transaction.head.arms_revision != arms_revision:
                transaction.give_up_rebuild()
                return None
            transaction.finish_rebuild(generation)
            state = replace(state, rated_share=_read_published_share(transaction))
            transaction.publish(encode_state(state), self.weights, keep=self.keep_snapshots)
            if not keep_older:
                transaction.delete_older_snapshots()
        return counted

    def _require_rebuild(self, generation: int) -> None:
        """Say that the rebuild is alive. Raises StaleRead when it is taken for dead."""
        with self.store.learner_transaction() as transaction:
            transaction.require_rebuild(generation)

    def _empty_state(self, transaction: LearnerTransaction) -> ModelState:
        """What is believed of the arms before anything is observed, with the warm start that is in force."""
        # What was counted goes on being counted: another worker's settings may have a cascade.
        cascades = transaction.counts_quantity(CONFIDENT_REWARD)
        state = self.prior.empty_state(transaction.read_arms(), cascades=cascades)
        stored_warm_start.put_behind_state(transaction, state)
        return state

    def _delete_idle_generations(self) -> None:
        """Delete what is left of generations that are not in force, a little at a time."""
        with self.store.learner_transaction() as transaction:
            idle = transaction.idle_generations()
        for generation in idle:
            more = True
            while more:
                with self.store.learner_transaction() as transaction:
                    more = transaction.drop_generation(generation, _DELETED_ROWS)

    def delete_damaged_snapshots(self) -> None:
        """Delete every snapshot that cannot be read, and log which."""
        damaged = [version for version in self.store.snapshot_versions() if self._is_damaged(version)]
        if damaged:
            with self.store.learner_transaction() as transaction:
                transaction.delete_snapshots(damaged)
            log.warning("deleted damaged snapshots: %s", ", ".join(map(str, damaged)))

    def _is_damaged(self, version: int) -> bool:
        state = self.store.snapshot(version)
        try:
            return state is not None and not decode_state(state).components
        except SnapshotCorrupt:
            return True

    # -- users ------------------------------------------------------------------------------------

    def forget_user(self, user_ids: Collection[str]) -> int:
        """Delete what is of a user, known by any of these ids, and rebuild without it; how many decisions.

        Snapshots that count it go, too. After a forget that was cut off, a second one finishes it.
        Raises SupersededSettings.
        """
        with self.store.learner_transaction() as transaction:
            deleted = delete_user(transaction, user_ids)
            if deleted:
                transaction.record_act(ActKind.USER_FORGOTTEN, decisions=deleted)
        if deleted or self.store.is_rebuild_due():
            self.rebuild(keep_older=False)
        return deleted

    # -- keys -------------------------------------------------------------------------------------

    def quarantine_key(self, key_id: str) -> None:
        """Let what a key said and will say count for nothing, and rebuild without it.

        Raises InvalidInput, UnknownKey or SupersededSettings.
        """
        with self.store.learner_transaction() as transaction:
            quarantine_key(transaction, key_id)
        self.rebuild()

    def release_key(self, key_id: str) -> None:
        """End a quarantine, and rebuild with what the key said. Raises the same."""
        with self.store.learner_transaction() as transaction:
            release_key(transaction, key_id)
        self.rebuild()

    # -- arms and warm starts ---------------------------------------------------------------------

    def reset(self, arm: str, at: float, claimed_at: float | None = None) -> None:
        """Publish a state that knows nothing of what ``arm`` did before ``at`` (Unix time).

        Its younger rewards are counted anew rather than the older ones subtracted: nothing is left of these.
        What is known from elsewhere goes, too, unless it was loaded since. ``claimed_at`` is what a wrong
        clock said instead.
        """
        with self.store.learner_transaction() as transaction:
            usable = self._reset(transaction, arm, at, claimed_at)
            transaction.record_act(ActKind.ARM_RESET, arm)
        if not usable:
            self.rebuild()

    def _reset(
        self, transaction: LearnerTransaction, arm: str, at: float, claimed_at: float | None = None
    ) -> bool:
        """False when the newest snapshot is unusable, so that only the record knows of the reset."""
        kept = record_arm_reset(transaction, arm, at, NAMES, claimed_at)
        stored_warm_start.remove_arm(transaction, arm, at)
        state = _read_newest_state(transaction)
        if state is None:
            return False
        for quantity in learned_quantities(state):
            state.components[quantity.name].forget(arm)
            recount(state, kept, quantity)
        stored_warm_start.put_behind_state(transaction, state)
        self.publish(transaction, state)
        return True

    def reset_drifted(self) -> tuple[str, RewardGap] | None:
        """Reset the arm that drifted most, to what is certainly new, if one did; which, and how far."""
        with self.store.learner_transaction() as transaction:
            rewards = decode_state(transaction.snapshot()).rewards
            counts = dict(zip(rewards.arms, rewards.count.tolist(), strict=True))
            latest = self.store.clock.latest()
            rows = read_recent_rewards(transaction.connection, transaction.router, NEWEST, latest)
            drifted = find_most_drifted_arm(calibrate(rows, [], counts))
            if drifted is not None:
                arm, gap = drifted
                self._reset(transaction, arm, gap.late_since)
                transaction.record_act(ActKind.ARM_RESET, arm, since=gap.late_since, why="it drifted")
            return drifted

    def rename(self, old: str, new: str) -> None:
        """Let what is learned of ``old`` be learned of ``new``, and publish that, made from the log."""
        with self.store.learner_transaction() as transaction:
            transaction.rename_arm(old, new)
            stored_warm_start.rename_arm(transaction, old, new)
        self.rebuild()

    def align_with_settings(self) -> None:
        """Publish a state that fits the settings and the arms, unless the newest one does.

        Of workers that start together one rebuilds, and the others wait for it.
        """
        while not self._add_missing_arms():
            self.try_rebuild()

    def _add_missing_arms(self) -> bool:
        """Give the arms that the newest state lacks their priors; False when it does not fit the settings."""
        with self.store.learner_transaction() as transaction:
            state = self._read_fitting_state(transaction)
            if state is not None:
                self.add_arms(transaction, state, transaction.read_arms())
        return state is not None

    def _read_fitting_state(self, transaction: LearnerTransaction) -> ModelState | None:
        """The newest state; None when it does not fit the settings, so that the log has to be read again."""
        state = _read_newest_state(transaction)
        if state is None:
            return None
        arms = transaction.read_arms()
        if not self.prior.fits(state.rewards, arms) or transaction.reward_weights != self.weights:
            log.warning("the settings of the posterior or the reward changed: rebuilding from the log")
            return None
        missing = self.prior.empty_state(()).components.keys() - state.components.keys()
        if missing:
            log.warning("%s: learned from now on, rebuilding from the log", ", ".join(sorted(missing)))
            return None
        return state

    def add_arms(self, transaction: LearnerTransaction, state: ModelState, arms: Iterable[Arm]) -> None:
        """Give each of these arms that the newest state lacks its prior; publish if there is one."""
        priors = {arm.name: self.prior.of_arm(arm) for arm in arms if arm.name not in state.rewards}
        if priors:
            self.publish(transaction, add_arms(state, priors))

    def warm_start(
        self,
        transaction: LearnerTransaction,
        evidence: WarmStartEvidence | None,
        trust: float | None,
        now: float,
    ) -> int:
        """Publish what is learned on top of this evidence instead of any before; its version."""
        state = apply_warm_start(decode_state(transaction.snapshot()), evidence, trust, now)
        stored = None
        if evidence is not None:
            alone = {REWARD: state.rewards.without_evidence(), COST: state.costs.without_evidence()}
            stored = encode_state(ModelState(alone))
        source = "" if evidence is None else evidence.source
        transaction.insert_warm_start(stored, source=source, trust=trust, now=now)
        kind = ActKind.WARM_START_REMOVED if evidence is None else ActKind.WARM_STARTED
        transaction.record_act(kind, source=source or None, trust=trust)
        return self.publish(transaction, state)

    def publish(self, transaction: LearnerTransaction, state: ModelState) -> int:
        """Publish what was learned, all of it from rewards made with the weights on record."""
        return transaction.publish(encode_state(state), transaction.reward_weights, keep=self.keep_snapshots)


def _read_newest_state(transaction: LearnerTransaction) -> ModelState | None:
    """What the newest snapshot says; None when it is unusable, so that the log has to be read again."""
    try:
        return decode_state(transaction.snapshot())
    except SnapshotCorrupt:
        log.exception("snapshot %d is unusable: rebuilding from the log", transaction.version)
        return None


def _read_published_share(transaction: LearnerTransaction) -> float:
    """The rated share of the newest snapshot, so that a rebuild changes no decision; 1 if it is unusable."""
    try:
        return read_rated_share(transaction.snapshot())
    except SnapshotCorrupt:
        return 1.0


def _decode_batch_state(state: bytes | None, version: int) -> ModelState | None:
    """The same of a snapshot that was read without the lock."""
    try:
        if state is None:
            raise SnapshotCorrupt(f"snapshot {version} is gone")
        return decode_state(state)
    except SnapshotCorrupt:
        log.exception("snapshot %d is unusable: rebuilding from the log", version)
        return None


def _make_retention(section: StoreSection) -> SnapshotRetention:
    return SnapshotRetention(
        count=section.keep_snapshots,
        max_bytes=1e6 * section.keep_snapshots_mb,
        max_age_s=section.keep_snapshots_s,
    )


def make_learner(
    store: Store, settings: Settings, schema_id: str, dim: int, settings_id: int | None = None
) -> Learner:
    """A learner with the settings' prior and reward, for contexts of ``dim`` numbers."""
    return Learner(
        store=store,
        prior=make_model_prior(settings, schema_id, dim),
        weights=settings.reward.terms(),
        batch=settings.learner.batch,
        keep_snapshots=_make_retention(settings.store),
        settings_id=settings_id,
    )
