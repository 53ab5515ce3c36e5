"""bandit-router: a learned LLM router."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bandit_router.cascade import confidence
from bandit_router.errors import RouterError
from bandit_router.router import AsyncRouter, Router
from bandit_router.settings import Settings, load_settings, make_settings
from bandit_router.types import Arm, Decision, Escalation, Outcome, Reason

if TYPE_CHECKING:
    from bandit_router.client import AsyncClient, Client, JudgedAnswer, RoutedDecision
    from bandit_router.server.in_process import async_http_client, http_client

__all__ = [
    "Arm",
    "AsyncClient",
    "AsyncRouter",
    "Client",
    "Decision",
    "Escalation",
    "JudgedAnswer",
    "Outcome",
    "Reason",
    "RoutedDecision",
    "Router",
    "RouterError",
    "Settings",
    "async_http_client",
    "confidence",
    "http_client",
    "load_settings",
    "make_settings",
]


_IMPORTED_LATE = {
    "AsyncClient": "bandit_router.client",
    "Client": "bandit_router.client",
    "JudgedAnswer": "bandit_router.client",
    "RoutedDecision": "bandit_router.client",
    "async_http_client": "bandit_router.server.in_process",
    "http_client": "bandit_router.server.in_process",
}
"""What is imported when first asked for: an HTTP library comes with it, or even a web framework."""


def __getattr__(name: str) -> Any:
    if name in _IMPORTED_LATE:
        return getattr(import_module(_IMPORTED_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
