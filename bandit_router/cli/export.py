"""`export`: write the log as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line


def export(
    folder: Annotated[Path, typer.Argument(help="Where to write; must be missing or empty.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Write the log of decisions and their feedback as Parquet, one folder per UTC day."""
    from bandit_router.evaluation.logs.write import export_log

    with open_existing_store(config) as store, store.read_log() as reader:
        exported = export_log(reader, folder)
    if as_json:
        facts = {"rows": exported.by_reason, "unreadable": exported.unreadable, "named": exported.named}
        print_json({"folder": str(folder), **facts})
        return
    print_line(f"exported {exported.rows} decisions to {folder}")
    for reason, count in exported.by_reason.most_common():
        print_line(f"  {reason}: {count}")
    if exported.unreadable:
        print_line(f"  left out, unreadable: {exported.unreadable}")
    for decision_id, problem in exported.named.items():
        print_line(f"    {decision_id}: {problem}")
