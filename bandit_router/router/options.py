"""The options of a route call, defined once: the library, the HTTP body and the command line read them here.

A new option is one line in :class:`RouteOptions`, and the line that uses it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict, get_type_hints

from pydantic import Field
from pydantic.fields import FieldInfo

from bandit_router.errors import InvalidInput
from bandit_router.security.budget import CallBudget
from bandit_router.types import FloatArray, Signals


def _option(description: str) -> Any:
    return Field(description=description)


class RouteOptions(TypedDict, total=False):
    """The options of :meth:`Router.route` besides the query; all may be left out."""

    features: Annotated[
        Sequence[float] | FloatArray | None,
        _option("Your own context instead of a query: d − 1 numbers, the bias is added."),
    ]
    idempotency_key: Annotated[
        str | None, _option("The same key with the same request returns the same decision.")
    ]
    input_tokens: Annotated[
        int | None, _option("Tokens of the whole prompt, if you have counted them; estimated by default.")
    ]
    user_tier: Annotated[str | None, _option('Tier of the user; "premium" and "free" are features.')]
    task: Annotated[
        str | None,
        _option(
            "Name of the query's task: the feature, prompt template or benchmark that it comes from. "
            "The first 64 names are learned apart."
        ),
    ]
    user: Annotated[
        str | None,
        _option("Your id of the user, logged as a keyed hash; `bandit-router forget` deletes what is of it."),
    ]
    cost_weight: Annotated[
        float | None,
        _option("Reward given up to save one dollar, 1/USD; the router's own, or its goal's, by default."),
    ]
    max_cost_usd: Annotated[float | None, _option("Most that the call may be expected to cost, USD.")]
    min_quality: Annotated[
        float | None,
        _option("Least expected reward of a model; the router's by default. The best is never left out."),
    ]
    require: Annotated[Sequence[str], _option("Capabilities the model must have.")]
    arms: Annotated[Sequence[str] | None, _option("The only arms acceptable, by name.")]
    conversation: Annotated[
        str | None,
        _option("Your id of the conversation, which keeps its arm unless conversations.sticky is off."),
    ]
    forbid: Annotated[Sequence[str], _option("Arms that are not acceptable, by name.")]
    override: Annotated[
        str | None,
        _option("The arm to use, by name, whatever the policy, a workflow or the conversation would choose."),
    ]
    instead_of: Annotated[
        str | None,
        _option(
            "With override: the decision whose answer was not good enough. It gets the feedback override = 1."
        ),
    ]
    incumbent: Annotated[
        str | None,
        _option("The arm that you would have used: the incumbent of a rollout from your own program."),
    ]
    workflow: Annotated[str | None, _option("One of the workflows of the settings, which pins the arm.")]
    will_be_rated: Annotated[
        bool | None,
        _option("Whether a coin or a panel decided beforehand that the answer will be rated; logged."),
    ]
    deadline_s: Annotated[float | None, _option("Seconds within which the call is to be answered.")]
    deadline_level: Annotated[
        float | None,
        _option("The share of calls that must meet the deadline, in (0, 1); the router's by default."),
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class CallRequest:
    """What the gateway asks of a decision whose arm it calls at once.

    ``mask`` says of arms that cannot be called why not. ``failed`` is the decision whose call failed, so that
    this is its fallback. ``new_conversation`` begins the conversation anew, whatever arm it kept. With
    ``granted``, the caller may have only these arms called; with ``budget``, only calls that it has room for.
    ``key_id`` is the caller's API key.
    """

    dialect: str
    mask: Mapping[str, str]
    failed: str | None = None
    new_conversation: bool = False
    granted: Collection[str] | None = None
    key_id: str | None = None
    budget: CallBudget | None = None
    signals: Signals = field(default_factory=dict)


CONTEXT_AND_KEY = ("features", "idempotency_key")
"""Options that each way in takes in its own form: HTTP as a field of the query and as a header."""


def describe_options() -> dict[str, tuple[Any, str]]:
    """Type and description of every option, by name."""
    described = {}
    for name, hint in get_type_hints(RouteOptions, include_extras=True).items():
        field: FieldInfo = hint.__metadata__[0]
        described[name] = (hint.__origin__, str(field.description))
    return described


def check_option_names(options: Mapping[str, Any]) -> None:
    """Raise InvalidInput for an unknown option."""
    if unknown := options.keys() - RouteOptions.__annotations__.keys():
        allowed = ", ".join(RouteOptions.__annotations__)
        raise InvalidInput(min(unknown), "is not an option", f"use some of {allowed}")


def check_one_source(source: object, options: RouteOptions) -> None:
    """Raise InvalidInput unless there is either a query or a context."""
    if (source is None) == (options.get("features") is None):
        raise InvalidInput("query", "and features exclude each other", "send exactly one of them")


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say something: a None is as good as an option left out."""
    return {name: value for name, value in options.items() if value is not None}
