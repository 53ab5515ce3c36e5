"""The goal that one worker paces by: as last committed, plus the worker's own decisions in flight."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from bandit_router.objective.pacing import PacingState, advance_pacing_to
from bandit_router.store.pacing_ledger import PacingBook, apply_change, expected_change
from bandit_router.types import Decision, Goal


class GoalTracker:
    """How the router's goal stands, as this worker knows it without asking the database.

    ``book`` is the newest one read or committed, None when nothing is booked for the router. A worker that
    was opened without a goal tracks the book, and paces by nothing.
    """

    def __init__(self, own_goal: Goal | None) -> None:
        self.own_goal = own_goal
        self.book = None if own_goal is None else PacingBook(own_goal, PacingState(), 0)
        self._updating = threading.Lock()
        self._in_flight: dict[str, Decision] = {}  # by id, until their commit ends

    def update_book(self, book: PacingBook | None) -> None:
        """Take a book that was read or committed, unless a newer one is known: a slow reader comes late."""
        with self._updating:
            if book is not None and (self.book is None or book.revision >= self.book.revision):
                self.book = book

    @property
    def goal(self) -> Goal | None:
        """The goal of the book, which another worker may have changed; None without an own goal."""
        return None if self.own_goal is None or self.book is None else self.book.goal

    @property
    def state(self) -> PacingState:
        """The state of the goal, with the decisions in flight counted as expected.

        A worker makes many decisions between two commits; pricing them all alike would overspend.
        """
        if self.book is None:
            return PacingState()
        book = self.book
        if self.own_goal is not None and self._in_flight:
            expected = expected_change(list(self._in_flight.values()))
            book = apply_change(book, expected, book.pacing_state.as_of)
        return book.pacing_state

    def state_at(self, now: float) -> PacingState:
        """:attr:`state` carried forward to ``now``, Unix time: a day's allowance grows meanwhile."""
        return advance_pacing_to(self.state, self.goal, now)

    def add_in_flight(self, decision: Decision) -> None:
        """Count a decision towards the goal before it is committed; :meth:`remove_in_flight` ends that."""
        if self.own_goal is not None:
            self._in_flight[decision.id] = decision

    def remove_in_flight(self, decisions: Iterable[Decision | None]) -> None:
        """Stop counting decisions that were committed or refused; None stands for a write without one."""
        for decision in decisions:
            if decision is not None:
                self._in_flight.pop(decision.id, None)
