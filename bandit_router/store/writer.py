"""Group commit: the writer thread commits, in one transaction, all that queued up during the last commit.

A write that somebody waits for is committed at once, and batches grow with the load. The ends of calls, which
nobody waits for, go with the next such write: a commit of their own would keep the next decision waiting. A
caller gets its result only after the commit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue

from bandit_router.errors import CommitTimeout, Overloaded, RouterClosed, RouterError, StoreError
from bandit_router.store.store import Store
from bandit_router.store.write_requests import Committed, WriteRequest, WriteResult

log = logging.getLogger(__name__)

Done = Callable[[WriteResult], None]
"""Called once with the result, on the writer's thread; must be quick."""

_Queued = tuple[WriteRequest, Done]

_LARGEST_BATCH = 500
_LONGEST_WAIT_S = 0.03


class Writer:
    """The one writer of a worker process. Ends of calls wait ``longest_wait_s`` at most for another write."""

    def __init__(
        self,
        store: Store,
        queue_size: int,
        timeout_s: float | None = None,
        longest_wait_s: float = _LONGEST_WAIT_S,
    ) -> None:
        self._store = store
        self._longest_wait_s = longest_wait_s
        self._limit = queue_size
        self._timeout_s = timeout_s
        self._queue: SimpleQueue[_Queued | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="bandit-router-writer", daemon=True)
        self._thread.start()

    def submit(self, request: WriteRequest, done: Done) -> None:
        """Queue a write. Raises Overloaded when the queue is full, RouterClosed after close() or a fork."""
        self._store.require_own_process()
        with self._closing:  # nothing may be queued behind the end mark
            full = self._queue.qsize() >= self._limit
            if not (full or self._closed):
                self._queue.put((request, done))
                return
        self._store.pacing.remove_in_flight([request.decision])
        raise Overloaded if full else RouterClosed

    def write(self, request: WriteRequest) -> Committed:
        """Queue a write and wait until it is committed.

        Raises the RouterError of a failed write, CommitTimeout after ``timeout_s``.
        """
        future: Future[WriteResult] = Future()
        self.submit(request, future.set_result)
        try:
            result = future.result(self._timeout_s)
        except TimeoutError:
            raise CommitTimeout(self._timeout_s or 0.0) from None
        if isinstance(result, RouterError):
            raise result
        return result

    def close(self, timeout_s: float | None = None) -> bool:
        """Commit what is queued, then stop; refuse what is left of the queue after ``timeout_s``.

        Returns whether it stopped: not while the database does not answer.
        """
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join(timeout_s)
        stopped = not self._thread.is_alive()
        if not stopped:
            self._refuse_queued()
        return stopped

    def _refuse_queued(self) -> None:
        refused = []
        with suppress(Empty):
            while True:
                refused.append(self._queue.get_nowait())
        self._queue.put(None)
        requests = [item for item in refused if item is not None]
        log.error("closing without %d queued writes, which the database did not take", len(requests))
        self._answer(requests, [RouterClosed()] * len(requests))

    def _run(self) -> None:
        ended = False
        while not ended:
            batch = self._take_batch()
            ended = batch[-1] is None
            self._commit([item for item in batch if item is not None])

    def _take_batch(self) -> list[_Queued | None]:
        """What is queued, and the next write that cannot wait if all of it can; None is the end mark."""
        batch = [self._queue.get()]
        give_up = time.monotonic() + self._longest_wait_s
        can_wait = True
        with suppress(Empty):
            while len(batch) < _LARGEST_BATCH and (newest := batch[-1]) is not None:
                can_wait = can_wait and newest[0].can_wait
                left_s = give_up - time.monotonic() if can_wait else 0.0
                batch.append(self._queue.get(timeout=left_s) if left_s > 0.0 else self._queue.get_nowait())
        return batch

    def _commit(self, batch: list[_Queued]) -> None:
        if not batch:
            return
        try:
            results = self._store.write([request for request, _ in batch])
        except Exception as error:  # the thread must survive any failure, and every caller must get it
            log.exception("a batch of %d writes failed", len(batch))
            failure = error if isinstance(error, RouterError) else StoreError(f"the write failed: {error!r}")
            results = [failure] * len(batch)
        self._answer(batch, results)

    def _answer(self, batch: list[_Queued], results: Sequence[WriteResult]) -> None:
        self._store.pacing.remove_in_flight(request.decision for request, _ in batch)
        for (_, done), result in zip(batch, results, strict=True):
            try:
                done(result)
            except Exception:  # a caller that went away must not keep the others from their results
                log.exception("a caller could not be given the result of its write")
