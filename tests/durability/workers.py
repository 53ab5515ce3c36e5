"""What runs in processes of its own: library users, sound and deliberately broken."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import FrozenResult, select

from bandit_router.router import Router
from bandit_router.store import feedback as feedback_log
from bandit_router.store.engine import read_transaction, write_transaction
from bandit_router.store.pacing_ledger import PacingLedger
from bandit_router.store.store import Store
from bandit_router.store.tables import spending
from bandit_router.store.write_requests import Committed, WriteBatch, WriteRequest, WriteResult
from bandit_router.store.writer import Writer
from bandit_router.types import CallEnd, Feedback
from tests.durability.helpers import Acknowledgements, converse, plain
from tests.processes import PROCESSES

THREADS = 12


@contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that runs ``target(*arguments, pipe)`` and has said over the pipe that it is ready."""
    ours, theirs = PROCESSES.Pipe()
    child = PROCESSES.Process(target=target, args=(*arguments, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        ours.recv()
        yield child, ours
    finally:
        child.kill()
        child.join()
        ours.close()


def barrier(parties: int) -> Barrier:
    return PROCESSES.Barrier(parties)


# -- a library user who does as told --------------------------------------------------------------


class Routed(NamedTuple):
    """A decision as a participant was told of it."""

    id: str
    arm: str
    snapshot: int


class Said(NamedTuple):
    """A value of quality to send; None retracts."""

    decision_id: str
    value: float | None


class Cost(NamedTuple):
    """A value of cost_usd to send, and the quality that goes with it; None retracts."""

    decision_id: str
    usd: float | None


class Library:
    """A process that uses the library: calls are carried out there, on many threads."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def route(self, contexts: Sequence[list[float]]) -> list[Routed]:
        return self._call("route", contexts)

    def say(self, messages: Sequence[Said]) -> list[str]:
        return self._call("say", messages)

    def spend(self, items: Sequence[list[float] | Cost]) -> list[str]:
        """Route every context and report every cost, all at the same time; ids and outcomes, in order."""
        return self._call("spend", items)

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self._call("counts", [None])[0]
        return counts

    def _call(self, verb: str, items: Sequence[Any]) -> list[Any]:
        self._pipe.send((verb, items))
        answers: list[Any] = self._pipe.recv()
        return answers


def library(config: Path, pipe: Connection) -> None:
    """Carries out what a Library is called for, until it is killed."""
    with Router.open(config) as router, ThreadPoolExecutor(THREADS) as threads:
        pipe.send("ready")
        while True:
            verb, items = pipe.recv()
            pipe.send(list(threads.map(partial(_do, router, verb), items)))


def _do(router: Router, verb: str, item: Any) -> Any:
    if verb == "route":
        decision = router.route(features=item)
        return Routed(decision.id, decision.arm, decision.snapshot)
    if verb == "spend" and isinstance(item, Cost):
        quality = None if item.usd is None else 2_000.0 * item.usd
        return router.feedback(item.decision_id, cost_usd=item.usd, quality=quality)["cost_usd"].value
    if verb == "spend":
        return router.route(features=item).id
    if verb == "say":
        return router.feedback(item.decision_id, quality=item.value)["quality"].value
    return router.counts()


def library_that_reads_first(config: Path, meet: Barrier, pipe: Connection) -> None:
    """A library process whose writer looks what is known of a decision before its transaction begins.

    Deliberately broken: nothing then serialises two such writers but the key of `feedback`. Before
    writing, each waits at the barrier for the other to have looked as well, once per decision.
    """
    met: set[str] = set()

    def write_once(self: Store, batch: Sequence[WriteRequest]) -> list[WriteResult]:
        payloads = [request.payload for request in batch]
        ids = sorted({payload.decision_id for payload in payloads if isinstance(payload, Feedback)})
        with read_transaction(self._engine) as connection:
            known = connection.execute(
                feedback_log.LATEST_FEEDBACK, {"router": self.router, "ids": ids}
            ).all()
        if not met.issuperset(ids):
            met.update(ids)
            meet.wait()
        with write_transaction(self._engine) as connection:
            return WriteBatch(_Outdated(connection, known), self.router, batch).apply()  # type: ignore[arg-type]

    Store._write_once = write_once  # type: ignore[method-assign]
    library(config, pipe)


class _Outdated:
    """A connection that answers what is known of decisions with what was known before."""

    def __init__(self, connection: SqlConnection, known: Sequence[Any]) -> None:
        self._connection = connection
        self._known = known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: Any, parameters: Any) -> Any:
        return (
            self._known
            if statement is feedback_log.LATEST_FEEDBACK
            else self._connection.execute(statement, parameters)
        )


def library_that_books_by_what_it_read(config: Path, meet: Barrier, pipe: Connection) -> None:
    """A library process whose writer reads how the budget stands before its transaction begins.

    Deliberately broken: the row of the budget is read without its lock, and written over whatever another
    has booked meanwhile. Before writing, each waits at the barrier for the other to have read as well.
    """

    def write_once(self: Store, batch: Sequence[WriteRequest]) -> list[WriteResult]:
        with read_transaction(self._engine) as connection:
            known = connection.execute(select(spending).where(spending.c.router == self.router)).freeze()
        meet.wait()
        ledger = PacingLedger()
        with write_transaction(self._engine) as connection:
            answers = WriteBatch(connection, self.router, batch, ledger).apply()
            ledger.close(_OutdatedBook(connection, known), self.router, time.time())  # type: ignore[arg-type]
        return answers

    Store._write_once = write_once  # type: ignore[method-assign]
    library(config, pipe)


class _OutdatedBook:
    """A connection that answers how the budget stands with how it stood before."""

    def __init__(self, connection: SqlConnection, known: FrozenResult[Any]) -> None:
        self._connection = connection
        self._known = known

    def execute(self, statement: Any) -> Any:
        return self._known() if statement.is_select else self._connection.execute(statement)


# -- library users who talk until they are killed -------------------------------------------------


def conversations(config: Path, path: Path, seed: int, pipe: Connection) -> None:
    """Routes and sends feedback from several threads once told to go on, noting every answer."""
    told, stop = Acknowledgements(path), threading.Event()
    with Router.open(config) as router, ThreadPoolExecutor(4) as threads:

        def route(x: list[float], key: str) -> dict[str, Any]:
            return plain(router.route(features=x, idempotency_key=key))

        def say(decision_id: str, value: float | None) -> object:
            return router.feedback(decision_id, quality=value)

        def talk(caller: int) -> None:
            try:
                converse(route, say, told, 10 * seed + caller, stop)
            finally:
                os._exit(1)  # a caller that fails must not go unnoticed behind the kill

        pipe.send("ready")
        pipe.recv()
        for caller in range(4):
            threads.submit(talk, caller)
        stop.wait()


def hasty_conversations(config: Path, path: Path, seed: int, pipe: Connection) -> None:
    """The same with a writer that answers before the commit. Deliberately broken."""

    def write(self: Writer, request: WriteRequest) -> Committed:
        self.submit(request, lambda _answer: None)
        assert not isinstance(request.payload, CallEnd)
        return {} if isinstance(request.payload, Feedback) else request.payload

    Writer.write = write  # type: ignore[method-assign]
    conversations(config, path, seed, pipe)
