"""How commands print: lines and tables for people, JSON for programs, warnings, progress, report pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bandit_router.errors import RouterError

console = Console()


def print_line(text: str, style: str | None = None) -> None:
    """Print text on stdout as it is: brackets are not markup, and long lines are not wrapped."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def print_warning(text: str) -> None:
    """Print text on stderr, so that stdout stays readable by programs."""
    Console(stderr=True, soft_wrap=True).print(text, style="yellow", markup=False, highlight=False)


def print_error(error: RouterError) -> None:
    """Print an error on stderr, as one line that begins with "error: "."""
    Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False)


def format_time(at: float) -> str:
    """A Unix time for people, in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")


def print_json(content: Any) -> None:
    """Print content on stdout as one line of JSON."""
    typer.echo(json.dumps(content))


class ShowProgress(Protocol):
    """Shows that so many steps more are done, and a note beside the bar."""

    def __call__(self, done: int, note: str = "") -> None: ...


@contextmanager
def progress_bar(label: str, steps: int, *, quiet: bool) -> Iterator[ShowProgress]:
    """Show progress on stderr; call what it yields with the number of steps just done."""
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()),
        TextColumn("{task.fields[note]}"),
    )
    bar_console = Console(stderr=True)
    with Progress(*columns, console=bar_console, transient=True, disable=quiet or not steps) as bar:
        task = bar.add_task(label, total=steps, note="")
        yield lambda done, note="": bar.update(task, advance=done, note=note)


def write_report_page(path: Path, page: str, *, quiet: bool) -> None:
    """Write an HTML page and print where. Raises RouterError when the file cannot be written."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RouterError(f"{path} cannot be written: {error.strerror}") from error
    if not quiet:
        print_line(f"wrote {path}")
