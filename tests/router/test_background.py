"""The background loop: one round after another, whether or not one fails."""

from __future__ import annotations

import threading

import pytest

from bandit_router.errors import SnapshotCorrupt
from bandit_router.router.background import BackgroundLoop


def test_a_round_that_fails_is_logged_and_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: list[Exception | None] = [*[SnapshotCorrupt("torn")] * 9, *[OSError("away")] * 9, None]
    done = threading.Event()

    def run_round() -> None:
        if not outcomes:
            done.set()
        elif error := outcomes.pop(0):
            raise error

    loop = BackgroundLoop(run_round, 0.001)
    assert done.wait(10.0)
    loop.stop()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "rounds of learning fail: torn",
        "rounds of learning fail: away",
        messages[-1],
    ]
    assert messages[-1].startswith("rounds of learning work again, after 18 failures in ")


def test_stopping_does_not_wait_for_the_next_round() -> None:
    rounds: list[None] = []
    loop = BackgroundLoop(lambda: rounds.append(None), 3600.0)
    loop.stop()
    assert rounds == []
