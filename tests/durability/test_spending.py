"""Several processes on one goal: whatever they do at the same time is booked exactly once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bandit_router.router import Router
from bandit_router.settings import load_settings
from tests.durability.helpers import context, write_config
from tests.durability.workers import (
    Cost,
    Library,
    barrier,
    library,
    library_that_books_by_what_it_read,
    process,
)
from tests.store.spending_log import assert_booked_once, booked

WORKERS, ROUNDS, ROUTED = 3, 5, 100
COSTS = (0.0, 0.0002, 0.0004, None)  # few, so that many of them repeat


@pytest.fixture(params=["usd_per_request", "mean_quality"])
def config(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Settings with a budget and with a floor, on a migrated database, of each kind in turn."""
    return write_config(tmp_path, url, budget={request.param: 0.0003})


def test_many_workers_book_every_decision_and_every_cost_once(config: Path) -> None:
    rng, outcomes, known = random.Random(7), Counter[str](), list[str]()
    with _workers(library, config, WORKERS) as workers, ThreadPoolExecutor(WORKERS) as threads:
        for _ in range(ROUNDS):
            plans = [_plan(known, rng) for _ in workers]
            answers = threads.map(lambda worker, plan: worker.spend(plan), workers, plans)
            for plan, answer in zip(plans, answers, strict=True):
                told = list(zip(plan, answer, strict=True))
                known += [said for item, said in told if not isinstance(item, Cost)]
                outcomes += Counter(said for item, said in told if isinstance(item, Cost))
    assert all(outcomes[kind] > 100 for kind in ("recorded", "revised", "retracted", "duplicate")), outcomes
    assert len(set(known)) == WORKERS * ROUNDS * ROUTED
    _check(config, decisions=len(known))


def _plan(known: Sequence[str], rng: random.Random) -> list[list[float] | Cost]:
    """New queries, and costs of decisions that others report at the same moment: once more, or others."""
    contexts: list[list[float] | Cost] = [context(rng) for _ in range(ROUTED)]
    costs = [
        Cost(rng.choice(known[-2 * ROUTED :]), rng.choice(COSTS)) for _ in range(2 * ROUTED if known else 0)
    ]
    mixed = contexts + costs
    rng.shuffle(mixed)
    return mixed


def test_two_workers_at_the_same_moment_book_both(config: Path) -> None:
    _route_at_once(config, library)
    _check(config, decisions=40)


def test_two_workers_that_book_by_what_they_read_are_caught(config: Path) -> None:
    """Negative control: without the lock of the row the same check fails, on either database."""
    _route_at_once(config, library_that_books_by_what_it_read, barrier(2))
    with pytest.raises(AssertionError, match="20 requests booked, 40 in the log"):
        _check(config, decisions=40)


def _route_at_once(config: Path, target: Callable[..., None], *arguments: Any, rounds: int = 20) -> None:
    """Two workers route one query each at the same moment, again and again."""
    rng = random.Random(8)
    with _workers(target, config, 2, *arguments) as workers, ThreadPoolExecutor(2) as threads:
        for _ in range(rounds):
            list(threads.map(lambda worker, x: worker.spend([x]), workers, [context(rng), context(rng)]))


@contextmanager
def _workers(target: Callable[..., None], config: Path, n: int, *arguments: Any) -> Iterator[list[Library]]:
    """Processes that carry out what they are called for."""
    Router.open(config).close()
    with ExitStack() as stack:
        pipes = [stack.enter_context(process(target, config, *arguments))[1] for _ in range(n)]
        yield [Library(pipe) for pipe in pipes]


def _check(config: Path, decisions: int) -> None:
    """What is booked is what the log says, by our own reading of it and by `verify`."""
    url, name = load_settings(config).store.url, "default"
    assert_booked_once(url, name)
    assert booked(url, name).requests == decisions
    with Router.open(config) as router:
        report = router.verify()
    assert report.ok, report.problems
    assert report.spent_usd_booked == pytest.approx(report.spent_usd_in_log, rel=1e-9)
    assert report.spent_usd_booked > 0.0
