"""How wide should the prior of independent arms be? Regret to the best fixed model, by prior and policy.

    python -m simulations.prior_width ../shared/data/paretobandit.parquet ../shared/data/zeroeval.parquet

Utility is quality − λ·cost, with λ such that the dearest model costs 0.1 of reward. Every arm starts
cold and learns at once from the recorded outcome of its own choices. The gap is the mean utility
minus that of the best fixed model in hindsight, over all queries and over the last quarter.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bandit_router.evaluation.datasets import load_parquet
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.settings.learning import PosteriorSection
from simulations import show
from simulations.streams import cost_weight, stream_of

_SETTINGS = {
    f"{prior_std:g} / {weight_std:g} / {policy}": RouterMaker(
        policy, posterior=PosteriorSection(model="independent", prior_std=prior_std, weight_std=weight_std)
    )
    for prior_std, weight_std in ((0.5, 0.2), (0.3, 0.1), (0.3, 0.05), (0.3, 0.03))
    for policy in ("thompson", "linucb", "epsilon-greedy:epsilon=0.02")
}


def compare_priors(plan: Plan) -> Table:
    """The table of one stream: a row for each prior and policy."""
    simulation = show.played(plan, _SETTINGS, -1, plan.stream.name)
    best = simulation.named("best fixed")
    table = Table("prior_std", "weight_std", "policy", "gap", "gap, last ¼", title=simulation.name)
    for name in _SETTINGS:
        policy = simulation.named(name)
        gaps = ((policy.values(v) - best.values(v)).mean() for v in ("utility", "last"))
        table.add_row(*name.split(" / "), *(f"{gap:+.4f}" for gap in gaps))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Regret by prior width and policy, on real data.")
    parser.add_argument("data", nargs="+", type=Path, help="Parquet files, one row per query and model")
    parser.add_argument("--queries", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for path in options.data:
        stream = stream_of(load_parquet(path))
        plan = Plan(
            stream=stream, cost_weight=cost_weight(stream, 0.1), seeds=options.seeds, queries=options.queries
        )
        Console().print(compare_priors(plan))


if __name__ == "__main__":
    show.run(main)
