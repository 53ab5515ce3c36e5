"""The weights of the feedback of API keys, fixed in the transaction that stores it.

A counter for each key and day is all that is looked at, never the log. Workers add to the counters when they
store feedback, so that each reads what others have committed; what they store at the same moment it misses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from bandit_router.security.budget import find_day
from bandit_router.security.influence import FeedbackKey, KeyActivity, weigh_feedback
from bandit_router.store.engine import INSERT
from bandit_router.store.tables import api_keys, key_feedback

_MOST_KEYS = 1_000  # that are looked at: of so many, the busiest are those that could have too large a share

_KEYS = (
    select(api_keys.c.id, api_keys.c.quarantined_at)
    .where(api_keys.c.router == bindparam("router"), api_keys.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(api_keys.c.id)
    .with_for_update(read=True, key_share=True)
)
_GIVEN = func.sum(key_feedback.c.given)
_ACTIVITY = (
    select(key_feedback.c.key_id, _GIVEN, func.sum(key_feedback.c.weight))
    .where(key_feedback.c.router == bindparam("router"), key_feedback.c.day >= bindparam("yesterday"))
    .group_by(key_feedback.c.key_id)
    .order_by(_GIVEN.desc())
    .limit(_MOST_KEYS)
)
_ADD = {
    name: (statement := into(key_feedback)).on_conflict_do_update(
        index_elements=["router", "day", "key_id"],
        set_={column: key_feedback.c[column] + statement.excluded[column] for column in ("given", "weight")},
    )
    for name, into in INSERT.items()
}


class KeyWeights:
    """Weighs the feedback of one transaction: ``lock``, ``weigh`` and ``close``."""

    def __init__(self, connection: Connection, router: str) -> None:
        self._connection = connection
        self._router = router
        self._quarantined: set[str] = set()
        self._activity: dict[str, KeyActivity] | None = None
        self._added: dict[tuple[str, int], KeyActivity] = defaultdict(KeyActivity)

    def lock(self, key_ids: Iterable[str]) -> None:
        """Keep these keys as they are until the transaction ends: in quarantine or not."""
        ids = sorted(set(key_ids))
        if ids:
            rows = self._connection.execute(_KEYS, {"router": self._router, "ids": ids})
            self._quarantined = {row.id for row in rows if row.quarantined_at is not None}

    def is_quarantined(self, key: FeedbackKey | None) -> bool:
        """Whether what comes with this key counts for nothing."""
        return key is not None and key.key_id in self._quarantined

    def weigh(self, key: FeedbackKey | None, received_at: float) -> float:
        """The weight of one more piece of feedback: 1 without a key."""
        if key is None:
            return 1.0
        day = find_day(received_at)
        activity = self._read_activity(day)
        self._add(key.key_id, day, KeyActivity(given=1))
        weight = weigh_feedback(key.key_id, activity, key.max_share)
        if weight is None:
            return 1.0
        self._add(key.key_id, day, KeyActivity(weight=weight))
        return weight

    def close(self) -> None:
        """Write what was added, in the order of the keys, so that two workers never deadlock."""
        rows: list[dict[str, Any]] = [
            {"router": self._router, "key_id": key_id, "day": day, **added._asdict()}
            for (key_id, day), added in sorted(self._added.items())
        ]
        if rows:
            self._connection.execute(_ADD[self._connection.dialect.name], rows)

    def _read_activity(self, day: int) -> dict[str, KeyActivity]:
        if self._activity is None:
            rows = self._connection.execute(_ACTIVITY, {"router": self._router, "yesterday": day - 1})
            self._activity = {key_id: KeyActivity(int(given), weight) for key_id, given, weight in rows}
        return self._activity

    def _add(self, key_id: str, day: int, more: KeyActivity) -> None:
        activity = self._read_activity(day)
        activity[key_id] = activity.get(key_id, KeyActivity()).plus(more)
        self._added[key_id, day] = self._added[key_id, day].plus(more)
