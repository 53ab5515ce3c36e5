"""The command line: parses, calls, prints."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from threadpoolctl import threadpool_limits

from bandit_router.cli import (
    arms,
    budget,
    calibration,
    evaluation,
    explaining,
    routing,
    rules,
    training,
    upkeep,
    warm_start,
)
from bandit_router.errors import RouterError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
for command in (
    routing.init,
    routing.serve,
    routing.route,
    routing.feedback,
    explaining.explain,
    warm_start.warm_start,
    upkeep.migrate,
    upkeep.verify,
    upkeep.rebuild,
    evaluation.export,
    evaluation.evaluate,
    evaluation.simulate,
    upkeep.demo,
    calibration.calibration,
    budget.budget,
    training.train_classifier,
):
    app.command()(command)
app.add_typer(arms.app, name="arms")
app.add_typer(rules.app, name="rules")


@app.callback()
def about() -> None:
    """A learned LLM router: picks a model per query, logs why, learns from feedback."""


def main() -> None:
    """Run the command line; errors we know are printed on stderr, with exit code 1."""
    try:
        with threadpool_limits(1, "blas"):  # its threads wait for each other for seconds on a busy machine
            app()
    except RouterError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False)
        sys.exit(1)
