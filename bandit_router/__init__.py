"""bandit-router: a learned LLM router."""

from bandit_router.cascade import confidence
from bandit_router.errors import RouterError
from bandit_router.router import AsyncRouter, Router
from bandit_router.settings import Settings, load_settings, make_settings
from bandit_router.types import Arm, Decision, Escalation, Outcome, Reason

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
    "confidence",
    "load_settings",
    "make_settings",
]
