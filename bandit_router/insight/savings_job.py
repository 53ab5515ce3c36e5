"""The process that estimates savings in the background: it reads a job from stdin, and stores the estimate.

A process of its own, so that the event loop of a server never waits for it. It gives way to others, and ends
by itself when its lease does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing

from pydantic import BaseModel

from bandit_router.insight.savings import KIND, savings_facts
from bandit_router.insight.savings_estimate import Sample, estimate_savings
from bandit_router.settings.insight import InsightSection
from bandit_router.settings.serving import StoreSection
from bandit_router.store.clock import Clock
from bandit_router.store.store import Store
from bandit_router.store.timeouts import Timeouts

LEASE_S = 600
_NICENESS = 10


class SavingsJob(BaseModel):
    """Whose savings to estimate, and as which holder of the lease to store them."""

    router: str
    holder: str
    store: StoreSection
    insight: InsightSection


def start_job() -> subprocess.Popen[bytes]:
    """Start the process, which reads its job from stdin as JSON: the database's URL may hold a password."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        env=os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the server, which ends this process itself
    )


def run_job(job: SavingsJob) -> bool:
    """Estimate and store; False if another holder has the lease by now. Raises StoreError."""
    clock, timeouts = Clock(job.store.clock_tolerance_s), Timeouts.of(job.store)
    with closing(
        Store.open(job.store.url, job.router, create=False, clock=clock, timeouts=timeouts)
    ) as store:
        store.head()  # sets the clock by the database's
        savings = estimate_savings(store, make_sample(job.insight))
        return store.store_estimate(KIND, job.holder, savings_facts(savings))


def make_sample(section: InsightSection) -> Sample:
    """The sample that the settings ask for."""
    return Sample(rows=section.savings_rows, days=section.savings_days, margin=section.savings_margin)


def main() -> None:
    """Run the job that stdin names."""
    os.nice(_NICENESS)
    signal.alarm(LEASE_S)
    run_job(SavingsJob.model_validate_json(sys.stdin.buffer.read()))


if __name__ == "__main__":
    main()
