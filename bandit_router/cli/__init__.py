"""The command line: parses, calls, prints. One file per command."""

from __future__ import annotations

import sys
from importlib.metadata import version as package_version
from typing import Annotated

import typer
from threadpoolctl import threadpool_limits

from bandit_router.cli import (
    apply,
    arms,
    audit,
    budget,
    calibration,
    demo,
    evaluate,
    explain,
    export,
    feedback,
    forget,
    import_log,
    init,
    keys,
    migrate,
    pin,
    rebuild,
    route,
    rules,
    serve,
    simulate,
    train_classifier,
    verify,
    warm_start,
)
from bandit_router.cli.command import App
from bandit_router.cli.output import print_error, print_line
from bandit_router.errors import RouterError

app = App(
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",  # the default takes [brackets] in a help text for markup, and drops them
)
for command in (
    init.init,
    serve.serve,
    apply.apply,
    route.route,
    feedback.feedback,
    explain.explain,
    warm_start.warm_start,
    migrate.migrate,
    verify.verify,
    rebuild.rebuild,
    export.export,
    import_log.import_log,
    evaluate.evaluate,
    simulate.simulate,
    demo.demo,
    calibration.calibration,
    budget.budget,
    audit.audit,
    forget.forget,
    pin.pin,
    pin.unpin,
    train_classifier.train_classifier,
):
    app.command()(command)
app.add_typer(arms.app, name="arms")
app.add_typer(keys.app, name="keys")
app.add_typer(rules.app, name="rules")


def _print_version(asked: bool) -> None:
    if asked:
        print_line(f"bandit-router {package_version('bandit-router')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """A learned LLM router: picks a model per query, logs why, learns from feedback."""


def main() -> None:
    """Run the command line; an error of this package is printed on stderr, with exit code 1."""
    try:
        with threadpool_limits(1, "blas"):  # its threads wait for each other for seconds on a busy machine
            app()
    except RouterError as error:
        print_error(error)
        sys.exit(1)
