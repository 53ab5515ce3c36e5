"""How wide should the default prior be? Regret to the best fixed model, by prior and policy.

    python -m simulations.prior_width ../shared/data/paretobandit.parquet ../shared/data/zeroeval.parquet

Utility is quality − λ·cost, with λ such that the dearest model costs 0.1 of reward. Every arm starts
cold and learns at once from the recorded outcome of its own choices. The gap is the mean utility
minus that of the best fixed model in hindsight, over all queries and over the last 1,000.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bandit_router.config import PosteriorSection
from bandit_router.decide import score
from bandit_router.evaluation.datasets import Dataset, load_parquet
from bandit_router.features import build_pipeline, read_query
from bandit_router.learner import make_prior
from bandit_router.policies import parse_policy, sample
from bandit_router.posterior import Posterior
from bandit_router.types import FloatArray

_SETTINGS = [
    (PosteriorSection(prior_std=prior_std, weight_std=weight_std), policy)
    for prior_std, weight_std in ((0.5, 0.2), (0.3, 0.1), (0.3, 0.05), (0.3, 0.03))
    for policy in ("thompson", "linucb", "epsilon-greedy:epsilon=0.02")
]
_LAST = 1000


def gaps(
    data: Dataset, x: FloatArray, section: PosteriorSection, spec: str, queries: int, seed: int
) -> tuple[float, float]:
    """Mean utility minus the best fixed model's: over one random order, and over its last 1,000."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))[:queries]
    costs = data.cost_usd.mean(axis=0)
    weight = 0.1 / float(costs.max())
    utility = data.quality - weight * data.cost_usd
    prior = make_prior(section, x.shape[1])
    posterior = Posterior.empty(
        dict.fromkeys(data.models, prior), schema_id="simulation", noise_variance=section.noise_std**2
    )
    policy, earned = parse_policy(spec), []
    for i in order:
        scores = score(posterior, data.models, x[i], costs.tolist(), weight)
        chosen = sample(policy.pmf(scores), rng)
        posterior.observe(data.models[chosen], x[i], float(data.quality[i, chosen]))
        earned.append(utility[i, chosen])
    lead = np.array(earned) - utility[order, utility[order].mean(axis=0).argmax()]
    return float(lead.mean()), float(lead[-_LAST:].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Regret by prior width and policy, on real data.")
    parser.add_argument("data", nargs="+", type=Path, help="Parquet files, one row per query and model")
    parser.add_argument("--queries", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    pipeline, console = build_pipeline(), Console()
    for path in options.data:
        data = load_parquet(path)
        x = np.array([pipeline.context(read_query(query)) for query in data.queries])
        table = Table("prior_std", "weight_std", "policy", "gap", f"gap, last {_LAST}", title=data.name)
        for section, spec in track(_SETTINGS, description=data.name, console=console, transient=True):
            found = [gaps(data, x, section, spec, options.queries, s) for s in range(options.seeds)]
            both = (f"{value:+.4f}" for value in np.mean(found, axis=0))
            table.add_row(f"{section.prior_std:g}", f"{section.weight_std:g}", spec, *both)
        console.print(table)


if __name__ == "__main__":
    main()
