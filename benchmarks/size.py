"""What many arms and many features cost: CPU to open, fold and refresh, peak memory, snapshot size.

For each number of arms and features a process of its own opens a router on an empty SQLite database, routes
``RATED`` contexts that callers send, rates them (quality, cost and latency), folds the feedback, and
refreshes, that is, loads and solves the snapshot. Then it opens the same router again. Prints a table in
Markdown. Seconds are of CPU, which a busy machine changes least; writing to disk comes on top.

Run as a module: ``python -m benchmarks.size``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

from bandit_router.router import Router
from bandit_router.settings import Settings

SIZES = ((5, 75), (20, 384), (200, 75), (200, 384))
"""Arms and features."""

RATED = 500
_HEADER = "| arms | features | open | fold | refresh | open again | peak memory | snapshot |"


def make_settings(folder: str, arms: int, features: int) -> Settings:
    """A router of so many arms, which learns only when told to."""
    return Settings.model_validate(
        {
            "store": {"url": f"sqlite:///{folder}/router.db"},
            "learner": {"interval_s": 3600.0, "batch": 10 * RATED},
            "features": {"embedding": "vector", "vector_dim": features},
            "arms": [
                {"name": f"arm-{a}", "model": "m", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}
                for a in range(arms)
            ],
        }
    )


def rate_decisions(router: Router, features: int) -> None:
    """Route and rate contexts of about unit length."""
    rng = np.random.default_rng(0)
    for x in rng.normal(scale=features**-0.5, size=(RATED, features)):
        decision = router.route(features=x)
        quality, cost_usd, latency_s = rng.random(), 0.002 * rng.random(), rng.exponential()
        router.feedback(decision.id, quality=quality, cost_usd=cost_usd, latency_s=latency_s)


def time_call(call: Callable[[], object]) -> float:
    """Seconds of CPU that the call takes."""
    began = process_time()
    call()
    return process_time() - began


def measure(arms: int, features: int) -> str:
    """The row of one size; peak memory is that of this process."""
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings(folder, arms, features)
        began = process_time()
        with Router.open(settings) as router:
            seconds = [process_time() - began]
            rate_decisions(router, features)
            seconds += [time_call(router._learner.fold_all), time_call(router.refresh)]
            snapshot = router._store.snapshot(router.snapshot) or b""
        seconds.append(time_call(lambda: Router.open(settings).close()))
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    figures = [*(f"{s:.2f} s" for s in seconds), f"{peak_gb:.2f} GB", f"{len(snapshot) / 1e6:.1f} MB"]
    return f"| {arms} | {features} | {' | '.join(figures)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description="What many arms and many features cost.")
    parser.add_argument("--size", type=int, nargs=2, metavar=("ARMS", "FEATURES"), help="only this one")
    size = parser.parse_args().size
    if size is not None:
        with threadpool_limits(1, "blas"):  # as the command line and the server
            print(measure(*size))
        return 0
    print(_HEADER, "|---" * _HEADER.count(" |") + "|", sep="\n", flush=True)
    for arms, features in SIZES:
        command = [sys.executable, "-m", "benchmarks.size", "--size", str(arms), str(features)]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
