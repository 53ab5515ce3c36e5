"""The published model that a worker decides with: loaded from the newest snapshot, and refreshed."""

from __future__ import annotations

from dataclasses import replace

from bandit_router.posterior.confidence import empty_calibrators
from bandit_router.posterior.state import CONFIDENT_REWARD, decode_state
from bandit_router.routing.decide import PublishedModel
from bandit_router.store.snapshots import Head
from bandit_router.store.store import Store


def load_published_model(store: Store, *, cascades: bool) -> PublishedModel:
    """The newest snapshot, solved, and its arms. Raises SnapshotCorrupt or StoreError.

    With ``cascades`` it has calibrators, also while the newest snapshot is of a worker without cascades.
    """
    version, arms_revision, snapshot, arms = store.published()
    state = decode_state(snapshot)
    if cascades and state.calibrators is None:
        calibrators = {CONFIDENT_REWARD: empty_calibrators(state.rewards)}
        state = replace(state, components={**state.components, **calibrators})
    return PublishedModel(
        version=version,
        arms_revision=arms_revision,
        state=state.solve(),
        arms=tuple(arm for arm in arms if arm.name in state.rewards),
        as_of=max(component.as_of for component in state.components.values()),
    )


def refresh_published_model(
    store: Store, published: PublishedModel, head: Head, *, cascades: bool
) -> PublishedModel:
    """The newest snapshot and arms; ``published`` itself when it is still that of ``head``."""
    if (head.version, head.arms_revision) == (published.version, published.arms_revision):
        return published
    return load_published_model(store, cascades=cascades)
