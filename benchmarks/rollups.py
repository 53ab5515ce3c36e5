"""What roll-ups cost a writer: decisions and feedback committed in a second, with deltas and without.

One router writes batches of ``--batch`` decisions, then feedback of three metrics on each, straight to its
store. Runs with deltas and runs without take turns, in pairs whose order alternates. Prints the median over
the pairs of the ratio of the two, for SQLite and for PostgreSQL, and exits with 1 when one is below the bar.

Run as a module: ``python -m benchmarks.rollups``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import uuid_utils

from bandit_router.learning.rollups import fold_rollups
from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store import write_requests
from bandit_router.store.rollups.tally import Tally
from bandit_router.store.store import Store
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Feedback
from benchmarks.fold import databases
from benchmarks.http import two_arm_settings

BAR = 0.9
_COUNTS = ("add_decision", "add_call", "add_escalation", "add_delay", "revise_metric")


class Rates(NamedTuple):
    """Decisions and pieces of feedback committed in a second."""

    decisions: float
    feedback: float


def open_router(url: str) -> Router:
    """A router that learns nothing meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "router.toml"
        config.write_text(two_arm_settings())
        settings = load_settings(config)
    store = settings.store.model_copy(update={"url": url})
    learner = settings.learner.model_copy(update={"interval_s": 3600.0})
    return Router.open(settings.model_copy(update={"store": store, "learner": learner}))


@contextmanager
def without_deltas() -> Iterator[None]:
    """Count nothing and write no delta, as if there were no roll-ups."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(write_requests, "insert_delta", _do_nothing))
        for name in _COUNTS:
            stack.enter_context(mock.patch.object(Tally, name, _do_nothing))
        yield


def _do_nothing(*_: object, **__: object) -> None:
    """Stands in for what counts and writes deltas."""


def measure(store: Store, example: Decision, batch: int, batches: int) -> Rates:
    """Write ``batches`` of decisions, and then feedback on each of them."""
    now = store.clock.now()
    made = [
        [replace(example, id=str(uuid_utils.uuid7()), decided_at=now) for _ in range(batch)]
        for _ in range(batches)
    ]
    metrics = {"quality": 0.5, "cost_usd": 0.001, "latency_s": 1.5}
    decided = [[WriteRequest(payload=each) for each in some] for some in made]
    told = [
        [
            WriteRequest(payload=Feedback(decision_id=each.id, metrics=metrics, received_at=now + 60.0))
            for each in some
        ]
        for some in made
    ]
    seconds = []
    for requests in (decided, told):
        began = time.perf_counter()
        for some in requests:
            store.write(some)
        seconds.append(time.perf_counter() - began)
    return Rates(*(batch * batches / each for each in seconds))


def compare(url: str, batch: int, batches: int, pairs: int) -> Rates:
    """The median ratio of the rates with deltas to those without."""
    with open_router(url) as router:
        store, example = router._store, router.route("What is the capital of France?")
        measure(store, example, batch, batches)
        ratios = []
        for pair in range(pairs):
            rates = {}
            for with_deltas in (True, False) if pair % 2 else (False, True):
                with ExitStack() as stack:
                    if not with_deltas:
                        stack.enter_context(without_deltas())
                    rates[with_deltas] = measure(store, example, batch, batches)
            ratios.append([a / b for a, b in zip(rates[True], rates[False], strict=True)])
            fold_rollups(store)
    return Rates(*(statistics.median(column) for column in zip(*ratios, strict=True)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    with databases() as urls:
        found = {
            kind: compare(url, options.batch, options.batches, options.pairs) for kind, url in urls.items()
        }
    for kind, ratios in found.items():
        print(f"{kind}: {ratios.decisions:.2f} of the decisions, {ratios.feedback:.2f} of the feedback")
    return 0 if min(min(ratios) for ratios in found.values()) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
