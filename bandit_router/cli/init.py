"""`init`: write a settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.options import DEFAULT_CONFIG
from bandit_router.cli.output import print_line
from bandit_router.errors import RouterError
from bandit_router.settings.templates import Template, read_template


def init(
    path: Annotated[Path, typer.Argument(help="Where to write the settings.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace an existing file.")] = False,
    template: Annotated[
        Template, typer.Option(help="The policy to begin with: learned, or hand-written.")
    ] = Template.BANDIT,
) -> None:
    """Write a short router.toml that works as it is."""
    if path.exists() and not force:
        raise RouterError(f"{path} already exists; use --force to replace it")
    try:
        path.write_text(read_template(template), encoding="utf-8")
    except OSError as error:
        raise RouterError(f"{path} cannot be written: {error.strerror}") from error
    training = "bandit-router train-classifier --data labelled.csv, then "
    before = training if template is Template.CLASSIFIER else ""
    print_line(f"wrote {path}; next: {before}bandit-router serve")
