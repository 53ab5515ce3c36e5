"""A process that makes an estimate in the background: it reads its job from stdin, and stores the estimate.

A process of its own, so that the event loop of a server never waits for it. It gives way to others, and ends
by itself when its lease does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from pydantic import BaseModel

from bandit_router.settings.serving import StoreSection
from bandit_router.store.clock import Clock
from bandit_router.store.store import Store
from bandit_router.store.timeouts import Timeouts

LEASE_S = 600
_NICENESS = 10


class Job(BaseModel):
    """Of which router to make an estimate, and as which holder of the lease to store it."""

    router: str
    holder: str
    store: StoreSection


AnyJob = TypeVar("AnyJob", bound=Job)


def start_job(module: str) -> subprocess.Popen[bytes]:
    """Start the process of a module, which reads its job as JSON: the database's URL may hold a password."""
    return subprocess.Popen(
        [sys.executable, "-m", module],
        env=os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the server, which ends this process itself
    )


@contextmanager
def open_store(job: Job) -> Iterator[Store]:
    """The database of a job. Raises StoreError."""
    clock, timeouts = Clock(job.store.clock_tolerance_s), Timeouts.of(job.store)
    opened = Store.open(job.store.url, job.router, create=False, clock=clock, timeouts=timeouts)
    with closing(opened) as store:
        store.head()  # sets the clock by the database's
        yield store


def run_from_stdin(job: type[AnyJob], run: Callable[[AnyJob], object]) -> None:
    """Run the job that stdin names, in the time of its lease."""
    os.nice(_NICENESS)
    signal.alarm(LEASE_S)
    run(job.model_validate_json(sys.stdin.buffer.read()))
