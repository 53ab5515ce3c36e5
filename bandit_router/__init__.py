"""bandit-router: a learned LLM router.

A public name is imported when first asked for, so that a program pays only for what it uses: a client over
HTTP loads no linear algebra, a worker no web framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bandit_router.cascade import confidence as confidence
    from bandit_router.client import AsyncClient as AsyncClient
    from bandit_router.client import Client as Client
    from bandit_router.client import ExplainedDecision as ExplainedDecision
    from bandit_router.client import JudgedAnswer as JudgedAnswer
    from bandit_router.client import RoutedChain as RoutedChain
    from bandit_router.client import RoutedDecision as RoutedDecision
    from bandit_router.errors import RouterError as RouterError
    from bandit_router.router import AsyncRouter as AsyncRouter
    from bandit_router.router import Router as Router
    from bandit_router.server.in_process import async_http_client as async_http_client
    from bandit_router.server.in_process import http_client as http_client
    from bandit_router.settings import Settings as Settings
    from bandit_router.settings import load_settings as load_settings
    from bandit_router.settings import make_settings as make_settings
    from bandit_router.types import Arm as Arm
    from bandit_router.types import Decision as Decision
    from bandit_router.types import Escalation as Escalation
    from bandit_router.types import Outcome as Outcome
    from bandit_router.types import Reason as Reason

_ROOMS = {
    "Arm": "types",
    "AsyncClient": "client",
    "AsyncRouter": "router",
    "Client": "client",
    "Decision": "types",
    "Escalation": "types",
    "ExplainedDecision": "client",
    "JudgedAnswer": "client",
    "Outcome": "types",
    "Reason": "types",
    "RoutedChain": "client",
    "RoutedDecision": "client",
    "Router": "router",
    "RouterError": "errors",
    "Settings": "settings",
    "async_http_client": "server.in_process",
    "confidence": "cascade",
    "http_client": "server.in_process",
    "load_settings": "settings",
    "make_settings": "settings",
}

__all__ = list(_ROOMS)


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
