"""What a rollout takes: rated requests until a candidate that is better by .02 is known to be better.

    python -m simulations.rollout_power --json power.json

Rewards are 0 or 1, with means .7 and .72. Candidate and incumbent choose the same model on a share of the
requests; on the others the candidate's is as much better as that takes. Each run is looked at 200 times.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from bandit_router.evaluation.confidence_sequence import bounded_intervals
from bandit_router.evaluation.rollout_sample import SCALE, RolloutSample, sum_quality
from simulations import show

_BASE, _GAIN = 0.7, 0.02
_LOOKS = 200
_ALPHA = 0.05
_POWER_90 = (1.96 + 1.2816) ** 2
SHARES = {0.01: 2_500_000, 0.05: 400_000, 0.2: 150_000, 0.5: 100_000}
"""The shares of the candidate, and the requests of a run."""


class Needed(NamedTuple):
    """Requests until the interval is above 0, by quantile over runs, and those of a test of 90% power."""

    median: float
    q90: float
    fixed: float


def play(rng: np.random.Generator, n: int, share: float, agreement: float) -> RolloutSample:
    """n rated requests of one stage."""
    agrees, is_candidate = rng.random(n) < agreement, rng.random(n) < share
    plays_new = is_candidate & ~agrees
    nothing = np.zeros(n)
    return RolloutSample(
        share=np.full(n, share),
        block=np.arange(n),
        is_candidate=is_candidate,
        incumbent_p=np.where(plays_new, 0.0, 1.0),
        candidate_p=np.where(agrees | plays_new, 1.0, 0.0),
        quality_gain=nothing,
        cost_gain_usd=nothing,
        expected_quality=np.full(n, _BASE),
        expected_cost_usd=nothing,
        most_cost_usd=nothing,
        reward=(rng.random(n) < _BASE + _GAIN / (1.0 - agreement) * plays_new).astype(float),
        cost_usd=nothing,
        cost_weight=nothing,
    )


def count_needed(share: float, agreement: float, n: int, seeds: Sequence[int]) -> Needed:
    """The requests that it takes at this share; infinite where n are too few."""
    looks = np.arange(1, _LOOKS + 1) * (n // _LOOKS) - 1
    needed = []
    for seed in seeds:
        sums = sum_quality(play(np.random.default_rng(seed), n, share, agreement), by_block=False)
        is_better = bounded_intervals(sums.take(looks), SCALE, _ALPHA).low > 0.0
        needed.append(float(looks[is_better.argmax()] + 1) if is_better.any() else np.inf)
    differing = 1.0 - agreement
    fixed = _POWER_90 * _BASE * (1.0 - _BASE) * differing / (share * (1.0 - share)) / _GAIN**2
    median, q90 = np.quantile(needed, [0.5, 0.9], method="higher").tolist()
    return Needed(median, q90, fixed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--agreement", nargs="+", type=float, default=[0.0, 0.5, 0.8])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table, facts = Table("share", "agree on", "median", "90% of runs", "one look, power 90%"), []
    for share, n in SHARES.items():
        for agreement in options.agreement:
            needed = count_needed(share, agreement, n, range(options.runs))
            table.add_row(f"{share:.0%}", f"{agreement:.0%}", *(f"{number:,.0f}" for number in needed))
            known = {name: number if number < np.inf else None for name, number in needed._asdict().items()}
            facts.append({"share": share, "agreement": agreement, **known})
    Console().print(table)
    show.save(options.json, {"needed": facts})


if __name__ == "__main__":
    show.run(main)
