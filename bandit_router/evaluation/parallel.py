"""Many independent pieces of work: on all cores, or on a Dask cluster. joblib does it either way."""

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

_RUN = 8  # pieces added up by one task, so that sums rather than pieces travel between processes


@contextmanager
def workers(jobs: int = -1, cluster: str | None = None) -> Iterator[None]:
    """Where :func:`run_tasks` works inside the block: on ``jobs`` cores (−1: all), or on a cluster.

    ``cluster`` is the address of a Dask scheduler, such as tcp://host:8786; its workers need this package,
    and see the files that this process sees. Raises InvalidInput for no such number of jobs, or a cluster
    that does not answer.
    """
    joblib = _joblib()
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
    """What the tasks return, in their order; each must be picklable, and runs BLAS on one thread."""
    joblib = _joblib()
    found: Iterator[T] = joblib.Parallel(return_as="generator")(joblib.delayed(_alone)(t) for t in tasks)
    return found


def sum_pieces(function: Callable[[T], S], pieces: Sequence[T], progress: Callable[[int], None]) -> S:
    """Σ function(piece), which needs addition only.

    Always added up in the same order, so the number of workers changes no digit. ``progress`` hears how
    many pieces were done.
    """
    runs = [pieces[i : i + _RUN] for i in range(0, len(pieces), _RUN)]
    sums: list[Any] = []
    for run, part in zip(runs, run_tasks(partial(_add_up, function, run) for run in runs), strict=True):
        sums = [sums[0] + part] if sums else [part]
        progress(len(run))
    if not sums:
        raise InvalidInput("log", "has no rows", "log decisions whose reason is 'policy'")
    found: S = sums[0]
    return found


def _add_up(function: Callable[[T], S], run: Sequence[T]) -> S:
    return reduce(operator.add, map(function, run))


def _alone(task: Callable[[], T]) -> T:
    with threadpool_limits(1, "blas"):
        return task()


def _joblib() -> Any:
    try:
        import joblib
    except ModuleNotFoundError:
        raise ConfigError("evaluating needs: pip install 'bandit-router[evaluation]'") from None
    return joblib
