"""`savings`: what the router cost less than a fixed model would have, at equal quality."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table as PrintedTable

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, print_json, print_line
from bandit_router.errors import InvalidInput
from bandit_router.insight.intervals import Estimate
from bandit_router.insight.savings import KIND, Savings, read_savings, savings_facts
from bandit_router.insight.savings_estimate import estimate_savings
from bandit_router.insight.savings_job import make_sample
from bandit_router.settings import load_settings


def savings(
    config: ConfigOption = DEFAULT_CONFIG,
    stored: Annotated[
        bool, typer.Option("--stored", metavar="", help="Show what the service estimated last.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Estimate the savings against the most expensive and the best fixed model, or say why not.

    Below 0 the router costs more. Needs `pip install 'bandit-router[evaluation]'`.
    """
    with open_existing_store(config) as store:
        if stored:
            newest = store.estimate(KIND)
            if newest is None:
                raise InvalidInput("stored", "there is no estimate yet", "leave --stored out to make one")
            made = read_savings(newest.body)
        else:
            made = estimate_savings(store, make_sample(load_settings(config).insight))
    print_json(savings_facts(made)) if as_json else _print_savings(made)


def _print_savings(made: Savings) -> None:
    table = PrintedTable("against", "model", "saving, USD/request", "95% interval", "quality", "95% interval")
    for saving in made.savings:
        cells = *_format(saving.usd_per_request, ".6f"), *_format(saving.quality, ".3f")
        table.add_row(saving.baseline.label, saving.arm or "", *cells)
    console.print(table)
    for saving in made.savings:
        if saving.refusal is not None:
            print_line(f"against {saving.baseline.label}: refused: {saving.refusal}")
            print_line(f"  {saving.cure}")
    print_line(f"estimated {_format_time(made.made_at)} from {made.rows} decisions")


def _format(estimate: Estimate | None, digits: str) -> tuple[str, str]:
    """A difference and its interval, with signs."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return "", ""
    return f"{estimate.value:+{digits}}", f"{estimate.low:+{digits}} … {estimate.high:+{digits}}"


def _format_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
