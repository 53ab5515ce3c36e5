"""What was published last, read and solved: the view that a worker decides with."""

from __future__ import annotations

from bandit_router.posterior.state import decode_state
from bandit_router.routing.decide import PublishedModel
from bandit_router.store.store import Store


def load_published_model(store: Store) -> PublishedModel:
    """The newest snapshot and arms. Raises SnapshotCorrupt or StoreError."""
    version, arms_revision, snapshot, arms = store.published()
    learned = decode_state(snapshot)
    for posterior in (learned.rewards, learned.costs, learned.calibrators):
        if posterior is not None:
            posterior.solve()
    return PublishedModel(
        version=version,
        arms_revision=arms_revision,
        posterior=learned.rewards,
        costs=learned.costs,
        arms=tuple(arm for arm in arms if arm.name in learned.rewards),
        latencies=learned.latencies,
        calibrators=learned.calibrators,
    )


def refresh_published_model(store: Store, view: PublishedModel) -> PublishedModel:
    """The newest snapshot and arms; the same view while there are none newer."""
    head = store.head()
    if head is None or head[1:] == (view.version, view.arms_revision):
        return view
    return load_published_model(store)
