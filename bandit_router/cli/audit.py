"""`audit`: who did what to the router."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, format_time, print_json


def audit(
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the newest acts to show.")] = 50,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the newest administrative acts: who did what, when, to which arm or key."""
    with open_existing_store(config) as store:
        acts = store.acts(last)
    if as_json:
        print_json([{**act._asdict(), "kind": act.kind.value} for act in acts])
        return
    table = Table("when (UTC)", "who", "what", "to", "details")
    for act in acts:
        details = json.dumps(act.details, ensure_ascii=False) if act.details else ""
        cells = (format_time(act.at), act.actor, act.kind.value, act.subject or "", details)
        table.add_row(*map(Text, cells))  # as they are: brackets in a name are no markup
    console.print(table)
