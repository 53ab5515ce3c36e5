"""What every page has around its content."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from bandit_router.router import Router
from bandit_router.server.caller import find_key


def describe_frame(router: Router, request: Request, page: str) -> dict[str, Any]:
    """The values of the frame around a page, by name."""
    return {
        "page": page,
        "router_name": router.settings.router.name,
        "is_logged_in": find_key(request) is not None,
        "now": router.now(),
    }
