"""What several commands take and how they print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bandit_router.router import Router
from bandit_router.settings import CONFIG_VARIABLE, Settings, load_settings
from bandit_router.store.store import Store

out = Console()

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar=CONFIG_VARIABLE, help="The settings file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
LabelsOption = Annotated[
    str | None, typer.Option(help="Labelled queries: paretobandit, or a file of what every model did.")
]
LogOption = Annotated[
    str | None, typer.Option(help="Or logged decisions: a database URL or an exported folder.")
]
RouterOption = Annotated[str, typer.Option(help="The router, in a database of several.")]
ColumnsOption = Annotated[
    str | None, typer.Option(help="What the file calls our columns: text=prompt,model=llm,…")
]
DEFAULT_CONFIG = Path("router.toml")


@contextmanager
def quiet_router(config: Path) -> Iterator[Router]:
    """A router that learns nothing on its own while a command looks or repairs."""
    settings: Settings = load_settings(config)
    learner = settings.learner.model_copy(update={"interval_s": 3600.0})
    with Router.open(settings.model_copy(update={"learner": learner})) as router:
        yield router


@contextmanager
def store_as_it_is(config: Path) -> Iterator[Store]:
    """The router's database, to be read: nothing is made in it, and no goal begun anew that was edited."""
    settings = load_settings(config)
    with closing(Store.open(settings.store.url, settings.router.name, create=False)) as store:
        yield store


def say(text: str, style: str | None = None) -> None:
    """Print text as it is, whatever brackets are in it and however long its lines are."""
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Say on stderr what the user should know, whatever goes to stdout."""
    Console(stderr=True, soft_wrap=True).print(text, style="yellow", markup=False, highlight=False)


def print_json(content: Any) -> None:
    typer.echo(json.dumps(content))
