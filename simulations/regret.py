"""Regret and reward of bandit-router's policies on each stream of real queries, beside the baselines.

    python -m simulations.regret --json regret.json

Every arm starts cold and an outcome is known at once. Each seed takes the queries in another order.
"""

from __future__ import annotations

from rich.console import Console

from bandit_router.evaluation.report.as_json import simulation_json
from bandit_router.evaluation.report.simulation_tables import simulation_table
from simulations import show
from simulations.streams import load_stream


def main() -> None:
    options = show.parser(__doc__).parse_args()
    console, facts = Console(), {}
    for name in options.streams:
        plan = show.plan_of(load_stream(name, options.data), options)
        simulation = show.played(plan, show.OURS, options.jobs, name)
        console.print(simulation_table(simulation))
        facts[name] = simulation_json(simulation)
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
