"""`tasks`: list and rename the tasks that a router learns apart."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from bandit_router.cli.command import App
from bandit_router.cli.connect import open_existing_store, open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, format_time, print_json, print_line
from bandit_router.types import TASKS_APART

app = App(help="List the tasks that are learned apart, or rename one.")


@app.command("list")
def list_tasks(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the tasks, and what named each: callers, or a system prompt."""
    with open_existing_store(config) as store:
        tasks = store.tasks()
    if as_json:
        print_json(
            [
                {
                    "number": task.number,
                    "name": task.name,
                    "named_by_prompt": bool(task.sketch),
                    "first_seen_at": task.first_seen_at,
                }
                for task in tasks
            ]
        )
        return
    table = Table("number", "task", "first named by", "first seen, UTC")
    for task in tasks:
        named_by = "a system prompt" if task.sketch else "a caller"
        table.add_row(str(task.number), task.name, named_by, format_time(task.first_seen_at))
    console.print(table)
    if len(tasks) == TASKS_APART:
        print_line(f"all {TASKS_APART} numbers are given: every further task is one of the other tasks")


@app.command("rename")
def rename_task(
    old: Annotated[str, typer.Argument(help="Name of the task now.")],
    new: Annotated[str, typer.Argument(help="The name it gets.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Rename a task and keep what was learned of it; callers that name it use the new name from then on."""
    with open_quiet_router(config) as router:
        router.rename_task(old, new)
