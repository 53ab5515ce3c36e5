"""The library reference's account of Router: its methods, and the types they take and return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import bandit_router
from bandit_router import Router
from bandit_router.router import RouteOptions
from bandit_router.router.options import describe_options

METHODS = (
    *("open", "close", "route", "escalate", "chain", "feedback", "learn", "rebuild", "warm_start", "verify"),
    *("decision", "scores", "explain", "metrics", "counts", "calibration", "budget", "safety", "latency_s"),
    *("arm", "put_arm", "enable_arm", "reset_arm", "refresh"),
)
PROPERTIES = ("arms", "snapshot")


def router_markdown() -> str:
    """Router, and every type of ours in its signatures that ``bandit_router`` does not export."""
    exported = [getattr(bandit_router, name) for name in bandit_router.__all__]
    types = dict.fromkeys(kind for kind in _types_in_signatures() if kind not in exported)
    return "\n".join(
        [
            "```{eval-rst}",
            f".. autoclass:: bandit_router.Router()\n   :members: {', '.join((*METHODS, *PROPERTIES))}\n",
            *(
                f".. autoclass:: {kind.__module__}.{kind.__qualname__}()\n"
                + (_options_list() if kind is RouteOptions else "")
                for kind in types
            ),
            "```",
        ]
    )


def _options_list() -> str:
    options = describe_options().items()
    return "\n" + "".join(f"   * ``{name}``: {description}\n" for name, (_, description) in options)


def _types_in_signatures() -> Iterator[type]:
    for name in METHODS:
        for annotation in get_type_hints(getattr(Router, name)).values():
            yield from _types_in(annotation)


def _types_in(annotation: Any) -> Iterator[type]:
    if getattr(annotation, "__module__", "").startswith("bandit_router."):
        yield annotation
    for argument in get_args(annotation):
        yield from _types_in(argument)
