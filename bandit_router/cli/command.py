"""Groups of commands: those of the command line itself are imported when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pkgutil import resolve_name
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption


class App(typer.Typer):
    """A group of commands."""

    def __init__(self, cls: type[CommandGroup] | None = None, **options: Any) -> None:
        super().__init__(
            cls=cls or CommandGroup,
            no_args_is_help=True,
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode="markdown",  # the default takes [brackets] in a help text for markup
            **options,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Decorates a function that becomes a command of this name."""
        return super().command(name, cls=_Command, **options)


class _Command(TyperCommand):
    def get_help_option(self, ctx: Any) -> TyperOption | None:
        return _without_type(super().get_help_option(ctx))


class CommandGroup(TyperGroup):
    """A group whose ``--help`` is shown as its commands' are."""

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        return _without_type(super().get_help_option(ctx))


class LateCommands(Mapping[str, Any]):
    """Commands by name, each from a place: ``module:function`` or ``module:app``.

    A command is imported when it is looked up, for some take a second that others need not wait for.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Any:
        found = resolve_name(self._places[name])
        if isinstance(found, typer.Typer):
            group = typer.main.get_group(found)
            group.name = name
            return group
        app = App()
        app.command(name)(found)
        return typer.main.get_command(app)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _without_type(option: TyperOption | None) -> TyperOption | None:
    """A switch is shown without a type: ``--help``'s, too."""
    if option is not None:
        option.metavar = ""
    return option
