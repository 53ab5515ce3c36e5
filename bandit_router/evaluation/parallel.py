"""Runs independent tasks in parallel with joblib, on all cores or on a Dask cluster."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from bandit_router.errors import ConfigError, InvalidInput

T = TypeVar("T")
S = TypeVar("S")

_PIECES_PER_TASK = 8  # added up by one task, so that few sums travel between processes


@contextmanager
def workers(jobs: int = -1, cluster: str | None = None) -> Iterator[None]:
    """Make :func:`run_tasks` use ``jobs`` cores (−1: all) or a cluster, for the duration of the context.

    ``cluster`` is the address of a Dask scheduler, such as tcp://host:8786; its workers need this package
    and the files that this process reads. Raises InvalidInput for an impossible number of jobs, or a cluster
    that does not answer.
    """
    joblib = _import_joblib()
    if jobs < 1 and jobs != -1:
        raise InvalidInput("jobs", f"is {jobs}", "give at least 1, or -1 for one process for each core")
    if cluster is None:
        with joblib.parallel_config("loky", n_jobs=jobs):
            yield
        return
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ConfigError("--cluster needs: pip install 'bandit-router[cluster]'") from None
    try:
        client = Client(cluster, timeout=10)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise InvalidInput(
            "cluster", f"{cluster!r} does not answer: {error}", "give tcp://host:8786"
        ) from None
    with client, joblib.parallel_config("dask", wait_for_workers_timeout=60):
        yield


def run_tasks(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Results of the tasks, in their order. Each must be picklable, and runs BLAS on one thread."""
    joblib = _import_joblib()
    results: Iterator[T] = joblib.Parallel(return_as="generator")(
        joblib.delayed(_run_on_one_thread)(t) for t in tasks
    )
    return results


def sum_pieces(function: Callable[[T], S], pieces: Sequence[T], progress: Callable[[int], None]) -> S:
    """Σ function(piece), for results that can be added. Raises InvalidInput without pieces.

    The order of addition is fixed, so the number of workers changes no digit. ``progress`` is called with
    the number of pieces each task has done.
    """
    runs = [pieces[i : i + _PIECES_PER_TASK] for i in range(0, len(pieces), _PIECES_PER_TASK)]
    tasks = [partial(_sum_run, function, run) for run in runs]
    # To start processes takes seconds, which a single task is not worth.
    results = map(_run_on_one_thread, tasks) if len(tasks) == 1 else run_tasks(tasks)
    sums: list[Any] = []
    for run, run_sum in zip(runs, results, strict=True):
        sums = [sums[0] + run_sum] if sums else [run_sum]
        progress(len(run))
    if not sums:
        raise InvalidInput("log", "has no rows", "log decisions whose reason is 'policy'")
    total: S = sums[0]
    return total


def _sum_run(function: Callable[[T], S], run: Sequence[T]) -> S:
    return reduce(operator.add, map(function, run))


def _run_on_one_thread(task: Callable[[], T]) -> T:
    with threadpool_limits(1, "blas"):
        return task()


def _import_joblib() -> Any:
    try:
        import joblib
    except ModuleNotFoundError:
        raise ConfigError("evaluating needs: pip install 'bandit-router[evaluation]'") from None
    return joblib
