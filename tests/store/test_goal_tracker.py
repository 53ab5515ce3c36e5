"""The goal tracker of one worker: which of two books is the newer one."""

from __future__ import annotations

from bandit_router.objective.pacing import PacingState
from bandit_router.store.goal_tracker import GoalTracker
from bandit_router.store.pacing_ledger import PacingBook
from bandit_router.types import Budget


def test_a_slow_look_at_the_head_does_not_set_the_book_back() -> None:
    goal = Budget(usd=1.0)
    tracker = GoalTracker(goal)
    old, newer = (PacingBook(goal, PacingState(requests=n), revision=n) for n in (1, 2))
    tracker.update_book(old)
    assert tracker.book is old
    tracker.update_book(newer)
    tracker.update_book(old)
    tracker.update_book(None)
    assert tracker.book is newer
