"""Upkeep: one round after another, whatever becomes of one."""

from __future__ import annotations

import threading

import pytest

from bandit_router.errors import SnapshotCorrupt
from bandit_router.router.background import BackgroundLoop


def test_a_round_that_fails_is_told_and_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: list[Exception | None] = [SnapshotCorrupt("torn"), OSError("away"), None]
    done = threading.Event()

    def a_round() -> None:
        if not outcomes:
            done.set()
        elif error := outcomes.pop(0):
            raise error

    upkeep = BackgroundLoop(a_round, 0.001)
    assert done.wait(10.0)
    upkeep.stop()
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "the newest snapshot is unusable: keeping the last good one",
        "upkeep failed; trying again in 0.001 s",
    ]


def test_stopping_does_not_wait_for_the_next_round() -> None:
    rounds: list[None] = []
    upkeep = BackgroundLoop(lambda: rounds.append(None), 3600.0)
    upkeep.stop()
    assert rounds == []
