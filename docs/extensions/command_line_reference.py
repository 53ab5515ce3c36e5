"""The command-line reference, from the commands themselves: every argument and option."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer
from json_schema import list_entry

from bandit_router.cli import app

_TYPES = {str: "text", float: "number", int: "whole number", Path: "path", list[str]: "text, may be repeated"}


def command_line_markdown() -> str:
    """A section for each command, in the order of ``--help``."""
    return "\n".join(_section(path, command) for path, command in _commands((), typer.main.get_command(app)))


def _commands(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
        return
    for name, subcommand in subcommands.items():
        yield from _commands((*path, name), subcommand)


def _section(path: tuple[str, ...], command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = ["bandit-router", *path, *(argument.name.upper() for argument in arguments)]
    if options:
        usage.append("[OPTIONS]")
    return "\n".join(
        [
            f"(command-{'-'.join(path)})=\n\n## `{' '.join(path)}`\n",
            f"{_escape(command.help)}\n",
            f"```text\n{' '.join(usage)}\n```\n",
            *(_entry(argument.name.upper(), argument) for argument in arguments),
            *(_entry(", ".join(option.opts), option) for option in options),
            "",
        ]
    )


def _entry(term: str, parameter: Any) -> str:
    facts = [] if getattr(parameter, "is_flag", False) else [_type(parameter)]
    default = parameter.default
    if parameter.required:
        facts.append("required")
    elif default not in (None, False, [], ()):
        facts.append(f"default `{default.value if isinstance(default, Enum) else default}`")
    if parameter.envvar:
        facts.append(f"or the variable `{parameter.envvar}`")
    return list_entry(term, facts, _escape(parameter.help or ""))


def _type(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    choices = [choice for choice in get_args(annotation) if choice is not type(None)]
    kind = choices[0] if type(None) in get_args(annotation) else annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{choice.value}`" for choice in kind)
    bounds = [f"at least {parameter.min}"] if parameter.min is not None else []
    bounds += [f"at most {parameter.max}"] if parameter.max is not None else []
    return ", ".join([_TYPES.get(kind, str(kind)), *bounds])


def _escape(text: str) -> str:
    return text.replace("[", "\\[").replace("*", "\\*")
