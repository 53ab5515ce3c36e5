"""The library's face: decide, take feedback, explain."""

from bandit_router.router.async_router import AsyncRouter
from bandit_router.router.router import RouteOptions, Router

__all__ = ["AsyncRouter", "RouteOptions", "Router"]
