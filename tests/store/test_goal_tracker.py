"""The goal tracker of one worker: which of two books is the newer one."""

from __future__ import annotations

from bandit_router.objective.pacing import PacingState
from bandit_router.store.goal_tracker import GoalTracker
from bandit_router.store.pacing_ledger import PacingBook
from bandit_router.types import Budget


def test_a_slow_look_at_the_head_does_not_set_the_book_back() -> None:
    goal = Budget(usd=1.0)
    tracker = GoalTracker(goal)
    old, read, committed = (PacingBook(goal, PacingState(requests=n)) for n in range(3))
    tracker.put_committed_book(old)
    tracker.put_read_book(read, before=old)
    assert tracker.book is read
    tracker.put_committed_book(committed)
    tracker.put_read_book(old, before=read)
    assert tracker.book is committed
