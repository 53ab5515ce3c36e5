"""The published model that a worker decides with: loaded from the newest snapshot, and refreshed."""

from __future__ import annotations

from bandit_router.posterior.state import decode_state
from bandit_router.routing.decide import PublishedModel
from bandit_router.store.store import Store


def load_published_model(store: Store) -> PublishedModel:
    """The newest snapshot and arms, its posteriors solved. Raises SnapshotCorrupt or StoreError."""
    version, arms_revision, snapshot, arms = store.published()
    state = decode_state(snapshot)
    for posterior in (state.rewards, state.costs, state.calibrators):
        if posterior is not None:
            posterior.solve()
    return PublishedModel(
        version=version,
        arms_revision=arms_revision,
        posterior=state.rewards,
        costs=state.costs,
        arms=tuple(arm for arm in arms if arm.name in state.rewards),
        latencies=state.latencies,
        calibrators=state.calibrators,
    )


def refresh_published_model(store: Store, published: PublishedModel) -> PublishedModel:
    """The newest snapshot and arms; ``published`` itself when it is the newest."""
    head = store.head()
    if head is None or head[1:] == (published.version, published.arms_revision):
        return published
    return load_published_model(store)
