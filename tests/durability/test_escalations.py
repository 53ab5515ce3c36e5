"""Many callers of many workers judge the same answers at the same moment: each is retried at most once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store import write_requests
from bandit_router.store.escalations import insert_escalations
from bandit_router.store.tables import decisions
from bandit_router.types import Escalation, Reason
from tests.databases import MakeUrl, sql
from tests.durability.helpers import DIM, context
from tests.durability.service import Client, all_ready, client_of, workers
from tests.services import LARGE, SMALL, serving, write_settings

ANSWERS, CALLERS = 40, 3

Judge = Callable[[str, float], str | None]
"""Says how sure an answer is; the id of its retry, if there is to be one."""


@pytest.fixture
def config(make_url: MakeUrl, tmp_path: Path) -> Path:
    """A router that retries about half of all answers."""
    return write_settings(
        tmp_path,
        arms=(SMALL, LARGE),
        store={"url": make_url(migrated=True)},
        features={"embedding": "vector", "vector_dim": DIM},
        policy={"name": "cascade", "cheap": "small", "expensive": "large", "epsilon": 0.0},
        cascade={"enabled": True, "epsilon": 1.0},
    )


def test_two_server_workers_and_a_library_retry_an_answer_once(config: Path) -> None:
    with serving(config, "--workers", "2") as service, ExitStack() as stack:
        all_ready(service, 2)
        clients = [stack.enter_context(client_of(service, 6, worker=one)) for one in workers(service)]
        library = stack.enter_context(Router.open(config))
        judges = [*(_over_http(client) for client in clients), _by_library(library)]
        firsts = [clients[0].route(x)["id"] for x in _contexts()]
        told = _judge(judges, firsts)
    _check(config, told)


def test_libraries_on_threads_retry_an_answer_once(config: Path) -> None:
    with _libraries(config) as (judges, firsts):
        told = _judge(judges, firsts)
    _check(config, told)


def test_libraries_that_look_first_and_then_write_are_caught(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: without the key, whoever read that nobody had asked makes a retry of its own."""

    def look_first(
        connection: Any, router: str, asked: Sequence[Escalation], read: Any
    ) -> tuple[dict[str, Escalation], list[Escalation]]:
        insert_escalations(connection, router, asked, read)
        return {one.parent: one for one in asked}, list(asked)

    monkeypatch.setattr(write_requests, "insert_escalations", look_first)
    with _libraries(config) as (judges, firsts):
        told = _judge(judges, firsts)
    with pytest.raises(AssertionError, match=r"told different things|retried twice"):
        _check(config, told)


def _contexts() -> list[list[float]]:
    rng = random.Random(3)
    return [context(rng) for _ in range(ANSWERS)]


def _over_http(client: Client) -> Judge:
    def judge(decision_id: str, confidence: float) -> str | None:
        retry = client.escalate(decision_id, confidence)["retry"]
        return None if retry is None else str(retry["decision_id"])

    return judge


def _by_library(router: Router) -> Judge:
    def judge(decision_id: str, confidence: float) -> str | None:
        retry = router.escalate(decision_id, confidence=confidence).decision
        return None if retry is None else retry.id

    return judge


@contextmanager
def _libraries(config: Path) -> Iterator[tuple[list[Judge], list[str]]]:
    with ExitStack() as stack:
        routers = [stack.enter_context(Router.open(config)) for _ in range(2)]
        firsts = [routers[0].route(features=x).id for x in _contexts()]
        yield [_by_library(router) for router in routers], firsts


def _judge(judges: Sequence[Judge], firsts: Sequence[str]) -> dict[str, set[str | None]]:
    """Everybody asks about every answer, several times and all at once; what they were told of each."""
    rng = random.Random(4)
    calls = [(judge, first, rng.random()) for first in firsts for judge in judges for _ in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS * len(judges)) as threads:
        answers = list(threads.map(lambda call: call[0](*call[1:]), calls))
    told: dict[str, set[str | None]] = {}
    for (_, first, _), answer in zip(calls, answers, strict=True):
        told.setdefault(first, set()).add(answer)
    return told


def _check(config: Path, told: Mapping[str, set[str | None]]) -> None:
    """Everybody was told the same of an answer, and that is what is in the log."""
    assert all(len(answers) == 1 for answers in told.values()), "told different things"
    retries = select(decisions.c.parent, decisions.c.id).where(decisions.c.reason == Reason.ESCALATION.value)
    with sql(load_settings(config).store.url) as connection:
        rows = [tuple(row) for row in connection.execute(retries)]
    assert len({parent for parent, _ in rows}) == len(rows), "retried twice"
    assert dict(rows) == {first: retry for first, (retry,) in told.items() if retry is not None}
    assert 5 < len(rows) < ANSWERS - 5
    with Router.open(config) as router:
        router.learn()
        report = router.verify()
    assert report.ok, report.problems
