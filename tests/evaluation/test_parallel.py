"""Spread work: the same digits whatever does it."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from functools import partial, reduce

import pytest
from distributed import LocalCluster

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.parallel import run_tasks, sum_pieces, workers

PARTS = [0.1 * i**3 for i in range(50)]


def pid(_: int) -> set[int]:
    return {os.getpid()}


def fail(error: Exception) -> None:
    raise error


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask cluster of two worker processes."""
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, protocol="tcp"
    ) as cluster:
        yield cluster.scheduler_address


def test_sums_are_the_same_on_one_core_on_two_and_on_a_cluster(scheduler: str) -> None:
    found = []
    for where in (partial(workers, 1), partial(workers, 2), partial(workers, cluster=scheduler)):
        done: list[int] = []
        with where():
            found.append(sum_pieces(float, PARTS, done.append))
        assert sum(done) == len(PARTS)
    assert found[0] == found[1] == found[2] == pytest.approx(reduce(operator.add, PARTS))


def test_tasks_answer_in_their_order_from_other_processes(scheduler: str) -> None:
    tasks = [partial(pow, 2, i) for i in range(20)]
    for where in (partial(workers, 2), partial(workers, cluster=scheduler)):
        with where():
            assert list(run_tasks(tasks)) == [2**i for i in range(20)]
            [*others] = run_tasks([partial(pid, i) for i in range(4)])
        assert os.getpid() not in set.union(*others)


def test_a_log_without_pieces_is_refused() -> None:
    with workers(1), pytest.raises(InvalidInput, match="no rows"):
        sum_pieces(float, [], lambda _: None)


def test_an_error_in_another_process_arrives_as_it_is(scheduler: str) -> None:
    for where in (partial(workers, 2), partial(workers, cluster=scheduler)):
        with where(), pytest.raises(InvalidInput, match="seeds: is 0; give 1") as caught:
            list(run_tasks([partial(fail, InvalidInput("seeds", "is 0", "give 1"))] * 2))
        assert caught.value.field == "seeds"


@pytest.mark.parametrize("jobs", [0, -2])
def test_no_such_number_of_jobs_is_refused(jobs: int) -> None:
    with pytest.raises(InvalidInput, match=f"jobs: is {jobs}; give at least 1, or -1"), workers(jobs):
        pass


def test_a_cluster_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(InvalidInput, match=r"cluster: 'tcp://127\.0\.0\.1:1'"),
        workers(cluster="tcp://127.0.0.1:1"),
    ):
        pass
