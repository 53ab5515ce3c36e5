"""`--help`: every command, argument and option explains itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import typer.main

from bandit_router.cli import app
from tests.cli.conftest import Run


def commands_of(group: Any, *words: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, *words, name)
        else:
            yield " ".join((*words, name)), command


COMMANDS = dict(commands_of(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_a_help_text(name: str) -> None:
    command = COMMANDS[name]
    assert command.help.endswith(".")
    for parameter in command.params:
        assert parameter.help, parameter.name


def test_brackets_in_a_help_text_are_printed(call: Run) -> None:
    assert "[budget]" in call("budget", "--help").out
    assert "[budget]" in call("--help").out


def test_a_flag_is_shown_without_a_type(call: Run) -> None:
    for words in (("verify",), ("arms", "list"), ("arms",), ()):
        assert "<bool>" not in call(*words, "--help").out


def test_the_version_is_that_of_the_package(call: Run) -> None:
    assert call("--version").out == f"bandit-router {version('bandit-router')}\n"


def test_a_command_imports_only_what_it_needs() -> None:
    script = """
import sys
from bandit_router.cli import main
sys.argv[1:] = ["--version"]
try:
    main()
except SystemExit:
    assert not {"numpy", "sqlalchemy"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
