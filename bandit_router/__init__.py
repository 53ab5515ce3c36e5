"""bandit-router: a learned LLM router."""

from typing import TYPE_CHECKING, Any

from bandit_router.cascade import confidence
from bandit_router.errors import RouterError
from bandit_router.router import AsyncRouter, Router
from bandit_router.settings import Settings, load_settings, make_settings
from bandit_router.types import Arm, Decision, Escalation, Outcome, Reason

if TYPE_CHECKING:
    from bandit_router.server.in_process import async_http_client, http_client

__all__ = [
    "Arm",
    "AsyncRouter",
    "Decision",
    "Escalation",
    "Outcome",
    "Reason",
    "Router",
    "RouterError",
    "Settings",
    "async_http_client",
    "confidence",
    "http_client",
    "load_settings",
    "make_settings",
]


def __getattr__(name: str) -> Any:
    """The HTTP clients, imported when first asked for: a web framework comes with them."""
    if name in ("async_http_client", "http_client"):
        from bandit_router.server import in_process

        return getattr(in_process, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
