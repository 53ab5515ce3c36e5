"""What tasks cost: the time of a solve with 1, 8 and 64 of them, and the CPU of a decision that names one.

A solve is that of eight arms on 4,000 outcomes with 81 features, each number of tasks beside none. Decisions
are those of the library with the two arms of `init` and 8 known tasks, 64 at once, every one committed to
SQLite, beside decisions without a task. Both take turns in one process, whose CPU on one thread is counted.
The last lines are the median of the rounds' ratios with its 95% interval by ranks; exits with 1 when one is
over its bar.

Run as a module: ``python -m benchmarks.tasks``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from bandit_router.evaluation.datasets import load_paretobandit
from bandit_router.posterior.arm_priors import make_hyperprior, make_level_prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.router import AsyncRouter
from bandit_router.settings.learning import PosteriorSection
from benchmarks.keys import find_median
from benchmarks.rollups import open_router

TASKS = (0, 1, 8, 64)
SOLVE_BAR, DECISION_BAR = 1.5, 1.03
_ARMS, _DIM, _OUTCOMES = 8, 81, 4000
_AT_ONCE = 64
_WARM_UP = 10
_NAMES = [f"task {i}" for i in range(8)]


def make_statistics(tasks: int) -> SufficientStatistics:
    """Outcomes of every arm on so many tasks."""
    rng, section = np.random.default_rng(0), PosteriorSection()
    statistics = SufficientStatistics.empty(
        {f"arm {k}": make_level_prior(section, _DIM) for k in range(_ARMS)},
        schema_id="benchmark",
        noise_variance=section.noise_std**2,
        hyperprior=make_hyperprior(section),
    )
    n = _OUTCOMES // _ARMS
    for arm in statistics.arms:
        x = np.column_stack([np.ones(n), rng.standard_normal((n, _DIM - 1))])
        of_each = rng.integers(0, tasks, n) if tasks else None
        statistics.observe_many(arm, x, rng.random(n), np.zeros(n), tasks=of_each)
    return statistics


def measure_solves(rounds: int) -> dict[int, list[float]]:
    """Seconds of CPU of a solve in every round, by how many tasks there are."""
    by_tasks = {tasks: make_statistics(tasks) for tasks in TASKS}
    cpu_s: dict[int, list[float]] = {tasks: [] for tasks in TASKS}
    for turn in range(_WARM_UP + rounds):
        for tasks in TASKS if turn % 2 else TASKS[::-1]:
            began = time.process_time()
            by_tasks[tasks].solve()
            if turn >= _WARM_UP:
                cpu_s[tasks].append(time.process_time() - began)
    return cpu_s


async def measure_round(router: AsyncRouter, queries: Sequence[str], tasks: Sequence[str | None]) -> float:
    """Seconds of CPU for a decision, all threads together, of decisions that are asked for at once."""
    began = time.process_time()
    pairs = zip(queries, tasks, strict=True)
    await asyncio.gather(*(router.route(query, task=task) for query, task in pairs))
    return (time.process_time() - began) / len(queries)


async def measure_decisions(queries: Sequence[str], rounds: int) -> tuple[list[float], list[float]]:
    """The CPU of a decision in every round: without a task, and with one that has outcomes."""
    without: list[str | None] = [None] * _AT_ONCE
    named: list[str | None] = [_NAMES[i % len(_NAMES)] for i in range(_AT_ONCE)]
    bare, told = [], []
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncRouter(open_router(f"sqlite:///{folder}/router.db")) as router:
            for name in _NAMES:
                decision = await router.route(queries[0], task=name)
                await router.feedback(decision.id, quality=0.5)
            await router.learn()
            for turn in range(_WARM_UP + rounds):
                batch = [queries[(turn * _AT_ONCE + i) % len(queries)] for i in range(_AT_ONCE)]
                cpu_s = [0.0, 0.0]
                for which in (0, 1, 1, 0) if turn % 2 else (1, 0, 0, 1):  # what drifts meets both alike
                    cpu_s[which] += await measure_round(router, batch, named if which else without) / 2.0
                if turn >= _WARM_UP:
                    bare.append(cpu_s[0])
                    told.append(cpu_s[1])
    return bare, told


def say_ratio(name: str, more: Sequence[float], less: Sequence[float], bar: float) -> bool:
    """Print the median ratio beside its bar; whether it is met."""
    ratio, low, high = find_median([a / b for a, b in zip(more, less, strict=True)])
    verdict = "ok" if ratio <= bar else "MISSED"
    print(f"{name}: {ratio:.3f} [{low:.3f}, {high:.3f}] of that without (bar {bar}): {verdict}")
    return ratio <= bar


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200, help="each of four solves and 256 decisions")
    options = parser.parse_args()
    with threadpool_limits(1):
        solves = measure_solves(options.rounds)
        bare, told = asyncio.run(measure_decisions(load_paretobandit().queries, options.rounds))
    for tasks, cpu_s in solves.items():
        print(f"solve, {tasks:2d} tasks      {1e3 * statistics.median(cpu_s):6.2f} ms of CPU")
    print(f"decision, no task    {1e6 * statistics.median(bare):6.1f} µs of CPU")
    print(f"decision, with one   {1e6 * statistics.median(told):6.1f} µs of CPU")
    print(f"load {os.getloadavg()[0]:.1f}")
    met = [say_ratio(f"solve, {tasks} tasks", solves[tasks], solves[0], SOLVE_BAR) for tasks in TASKS[1:]]
    met.append(say_ratio("decision with a task", told, bare, DECISION_BAR))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
