"""Commands about the database, and the demo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    out,
    print_json,
    quiet_router,
    say,
    store_as_it_is,
)
from bandit_router.learning.audit import AuditReport
from bandit_router.learning.audit import verify as check
from bandit_router.settings import load_settings
from bandit_router.settings.models import ENV_PREFIX


def migrate(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bring the database to the schema this version needs."""
    from bandit_router.store.engine import dispose, make_engine
    from bandit_router.store.schema import migrate as apply
    from bandit_router.store.tables import SCHEMA_VERSION

    engine = make_engine(load_settings(config).store.url)
    try:
        apply(engine)
    finally:
        dispose(engine)
    say(f"the database is at {SCHEMA_VERSION}")


def verify(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check every invariant: counts, rebuild = live, every logged PMF. Exits 1 when one fails."""
    with store_as_it_is(config) as store:
        report = check(store)
    print_report(report, as_json)
    if not report.ok:
        raise typer.Exit(1)


def print_report(report: AuditReport, as_json: bool = False) -> None:
    """Print what `verify` found; the last line is its verdict."""
    facts = {name: getattr(report, name) for name in report.__slots__}
    if as_json:
        print_json(facts | {"ok": report.ok})
        return
    for name, value in facts.items():
        if name != "problems":
            say(f"  {name.replace('_', ' ')}: {value}")
    for problem in report.problems:
        say(f"  problem: {problem}", style="red")
    say(f"verify: {'ok' if report.ok else 'FAILED'}", style="green" if report.ok else "red")


def rebuild(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Rebuild the posterior from nothing but the log, and publish it."""
    with quiet_router(config) as router:
        say(f"rebuilt from {router.rebuild()} rewards: snapshot {router.snapshot}")


def demo(
    data: Annotated[Path | None, typer.Option(help="A Parquet file: one row per query and model.")] = None,
    queries: Annotated[
        int | None, typer.Option(min=1, help="How many queries to send; all by default.")
    ] = None,
    cost_weight: Annotated[float | None, typer.Option(help="Reward per dollar saved, 1/USD.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Order of the queries.")] = 0,
) -> None:
    """Watch a router learn: real queries over HTTP, recorded outcomes as feedback, then `verify`."""
    from bandit_router.demo.run import run

    for variable in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        del os.environ[variable]  # the demo brings its own settings, and must not write to anyone's database
    report = run(data=data, queries=queries, cost_weight=cost_weight, seed=seed, console=out)
    out.print()
    print_report(report)
    if not report.ok:
        raise typer.Exit(1)
