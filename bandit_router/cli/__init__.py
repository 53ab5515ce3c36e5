"""The command line: parses, calls, prints. One file per command, imported when the command is asked for."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as package_version
from typing import Annotated, Any

import typer

from bandit_router.cli.command import App, CommandGroup, LateCommands
from bandit_router.cli.output import print_error, print_line
from bandit_router.errors import RouterError

_PLACES = {
    "init": "init:init",
    "serve": "serve:serve",
    "apply": "apply:apply",
    "route": "route:route",
    "feedback": "feedback:feedback",
    "explain": "explain:explain",
    "warm-start": "warm_start:warm_start",
    "migrate": "migrate:migrate",
    "verify": "verify:verify",
    "rebuild": "rebuild:rebuild",
    "export": "export:export",
    "import-log": "import_log:import_log",
    "evaluate": "evaluate:evaluate",
    "simulate": "simulate:simulate",
    "demo": "demo:demo",
    "calibration": "calibration:calibration",
    "budget": "budget:budget",
    "stats": "stats:stats",
    "advice": "advice:advice",
    "savings": "savings:savings",
    "judge": "judge:judge",
    "audit": "audit:audit",
    "forget": "forget:forget",
    "quarantine": "quarantine:quarantine",
    "pin": "pin:pin",
    "unpin": "pin:unpin",
    "rollout": "rollout:app",
    "safety": "safety:safety",
    "label": "label:label",
    "train-classifier": "train_classifier:train_classifier",
    "arms": "arms:app",
    "keys": "keys:app",
    "rules": "rules:app",
    "tasks": "tasks:app",
}
"""Where a command is, in the order of ``--help``: a file and a function or a group in it."""


class _Commands(CommandGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = LateCommands({name: f"{__name__}.{place}" for name, place in _PLACES.items()})


app = App(_Commands)


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
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # threads of BLAS wait for each other on a busy machine
    try:
        app()
    except RouterError as error:
        print_error(error)
        sys.exit(1)
