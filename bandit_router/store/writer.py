"""Group commit: one thread commits whatever has queued up while it was committing.

No timer: alone, a write is committed at once; under load, the batch is as large as the last commit
was slow. A caller is told only after the commit.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from bandit_router.errors import Overloaded, RouterClosed, RouterError, StoreError
from bandit_router.store.store import Store
from bandit_router.store.write import Committed, WriteRequest

log = logging.getLogger(__name__)

Done = Callable[[Committed | RouterError], None]
"""Called once with the answer or the error, on the writer's thread; must be quick."""

_MOST = 500


class Writer:
    """The one writer of a worker process."""

    def __init__(self, store: Store, queue_size: int) -> None:
        self._store = store
        self._limit = queue_size
        self._queue: SimpleQueue[tuple[WriteRequest, Done] | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="bandit-router-writer", daemon=True)
        self._thread.start()

    def submit(self, put: WriteRequest, done: Done) -> None:
        """Queue a write. Raises Overloaded when the queue is full, RouterClosed after close()."""
        with self._closing:  # so that nothing is ever queued behind the end mark
            full = self._queue.qsize() >= self._limit
            if not (full or self._closed):
                self._queue.put((put, done))
                return
        self._store.remove_in_flight([put])
        raise Overloaded if full else RouterClosed

    def write(self, put: WriteRequest) -> Committed:
        """Queue a write and wait until it is committed. Raises what went wrong."""
        future: Future[Committed | RouterError] = Future()
        self.submit(put, future.set_result)
        answer = future.result()
        if isinstance(answer, RouterError):
            raise answer
        return answer

    def close(self) -> None:
        """Commit what is queued, then stop."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            batch = [self._queue.get()]
            try:
                while len(batch) < _MOST:
                    batch.append(self._queue.get_nowait())
            except Empty:
                pass
            ended = batch[-1] is None
            self._commit([item for item in batch if item is not None])

    def _commit(self, batch: list[tuple[WriteRequest, Done]]) -> None:
        if not batch:
            return
        try:
            answers = self._store.write([put for put, _ in batch])
        except Exception as error:  # the thread must outlive any failure, and every caller must hear of it
            log.exception("a batch of %d writes failed", len(batch))
            failure = error if isinstance(error, RouterError) else StoreError(f"the write failed: {error!r}")
            answers = [failure] * len(batch)
        self._store.remove_in_flight([put for put, _ in batch])
        for (_, done), answer in zip(batch, answers, strict=True):
            try:
                done(answer)
            except Exception:  # a caller that went away must not stop the others from hearing
                log.exception("a caller could not be told of its write")
