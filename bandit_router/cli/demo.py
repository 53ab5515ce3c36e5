"""`demo`: play recorded outcomes through a live service."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.data_options import NO_DATA_OPTIONS, DataOptions, with_data_options
from bandit_router.cli.output import console, print_line
from bandit_router.cli.verify import print_audit_report
from bandit_router.settings.models import ENV_PREFIX

_STREAMED = 20


@with_data_options
def demo(
    data: Annotated[
        str, typer.Option(help="paretobandit, or a file with every model's outcomes.")
    ] = "paretobandit",
    queries: Annotated[
        int | None, typer.Option(min=1, help="Number of queries to send; all by default.")
    ] = None,
    cost_weight: Annotated[
        float | None, typer.Option(help="Reward you would give up to save one dollar, 1/USD.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order of queries.")] = 0,
    stay: Annotated[bool, typer.Option("--stay", help="Leave the dashboard open until Ctrl-C.")] = False,
    loading: DataOptions = NO_DATA_OPTIONS,
) -> None:
    """Watch a router learn: real queries over HTTP, recorded outcomes as feedback, then `verify`.

    Then the gateway: OpenAI's client streams twenty of the queries to scripted models, one of which is down
    for a while. With --stay the dashboard of what the router learned is open afterwards.
    """
    from bandit_router.demo.gateway import play_gateway
    from bandit_router.demo.run import keep_dashboard_open, run_demo

    for variable in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        del os.environ[variable]  # the demo brings its own settings, and must not write to another database
    dataset = loading.load(data)
    with tempfile.TemporaryDirectory(prefix="bandit-router-demo-") as name:
        folder = Path(name)
        learned = run_demo(
            dataset=dataset,
            queries=queries,
            cost_weight=cost_weight,
            seed=seed,
            folder=folder,
            console=console,
        )
        console.print()
        print_audit_report(learned)
        console.print()
        called = play_gateway(queries=dataset.queries[:_STREAMED], seed=seed, console=console)
        print_audit_report(called)
        if not (learned.ok and called.ok):
            raise typer.Exit(1)
        if stay:
            keep_dashboard_open(folder, console)
        else:
            print_line("`bandit-router demo --stay` (make demo DEMO=--stay) leaves its dashboard open")
