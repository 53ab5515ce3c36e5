"""`route`: decide one query."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any, TextIO, get_args

import typer

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line
from bandit_router.errors import InvalidInput
from bandit_router.features import PromptSource
from bandit_router.router import Router
from bandit_router.router.explain import build_route_answer
from bandit_router.router.options import CONTEXT_AND_KEY, describe_options
from bandit_router.types import Arm, Decision


def _with_route_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a command-line option for every option of a route call, in place of ``**options``."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[_command_line_type(kind), typer.Option(help=description)],
        )
        for name, (kind, description) in describe_options().items()
        if name not in CONTEXT_AND_KEY
    ]
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *added]}
    return command


def _command_line_type(kind: Any) -> Any:
    """A repeatable option for a list of names, else the type itself."""
    kinds = [kind, *get_args(kind)]
    return list[str] | None if any(getattr(k, "__args__", None) == (str,) for k in kinds) else kind


@_with_route_options
def route(
    query: Annotated[str | None, typer.Argument(help="The query to route.")] = None,
    request: Annotated[
        typer.FileText | None,
        typer.Option(
            help="JSON that a provider would get, in place of a query: messages or input, tools and so on; "
            "- reads standard input."
        ),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    **options: Any,
) -> None:
    """Choose a model for one query and log the decision."""
    with Router.open(config, apply="never") as router:
        given = {name: value for name, value in options.items() if value not in (None, [])}
        decision = router.route(_read_source(query, request), **given)
        _print_decision(decision, router.arm(decision.arm), as_json)


def _read_source(query: str | None, request: TextIO | None) -> PromptSource:
    """The query, or else the request in the file. Raises InvalidInput."""
    if query is not None and request is None:
        return query
    if query is not None or request is None:
        raise InvalidInput("query", "and --request exclude each other", "give exactly one of them")
    try:
        source = json.load(request)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("request", f"is not JSON: {error}", "give a file with a JSON object") from None
    if not isinstance(source, dict | list):
        raise InvalidInput("request", "is neither an object nor a list", "give a body, or its messages")
    return source


def _print_decision(decision: Decision, arm: Arm, as_json: bool) -> None:
    if as_json:
        print_json(build_route_answer(decision, arm))
        return
    print_line(f"{arm.name} ({arm.label})", style="bold")
    print_line(f"decision {decision.id}, snapshot {decision.snapshot}, {decision.reason}")
    for name, p in zip(decision.eligible, decision.pmf, strict=True):
        print_line(f"  {p:7.2%} {name}")
    for name, obstacle in decision.excluded.items():
        print_line(f"        – {name}: {obstacle}")
