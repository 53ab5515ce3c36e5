"""The scope that each path and method needs: the one table of what a key may ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bandit_router.security.keys import Scope

Endpoint = tuple[str, str]
"""A method and a path; ``{…}`` in it stands for one segment."""

OPEN: frozenset[Endpoint] = frozenset(
    {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/"),
        ("GET", "/dashboard/login"),
        ("POST", "/dashboard/login"),
        ("GET", "/dashboard/style.css"),
        ("GET", "/dashboard/script.js"),
        ("GET", "/dashboard/icon.svg"),
    }
)
"""What is answered to anybody."""

SCOPES: Mapping[Endpoint, Scope] = {
    ("POST", "/v1/route"): Scope.ROUTE,
    ("POST", "/v1/decisions/{decision_id}/escalate"): Scope.ROUTE,
    ("POST", "/v1/chat/completions"): Scope.ROUTE,
    ("POST", "/v1/responses"): Scope.ROUTE,
    ("POST", "/v1/messages"): Scope.ROUTE,
    ("POST", "/v1/messages/count_tokens"): Scope.ROUTE,
    ("POST", "/v1/embeddings"): Scope.ROUTE,
    ("GET", "/v1/models"): Scope.ROUTE,
    ("POST", "/v1/feedback"): Scope.FEEDBACK,
    ("GET", "/v1/decisions/{decision_id}"): Scope.READ,
    ("GET", "/v1/decisions/{decision_id}/chain"): Scope.READ,
    ("GET", "/v1/arms"): Scope.READ,
    ("GET", "/v1/calibration"): Scope.READ,
    ("GET", "/v1/budget"): Scope.READ,
    ("GET", "/v1/stats"): Scope.READ,
    ("GET", "/v1/advice"): Scope.READ,
    ("GET", "/v1/savings"): Scope.READ,
    ("GET", "/v1/rollout"): Scope.READ,
    ("GET", "/v1/safety"): Scope.READ,
    ("POST", "/v1/rollout/advance"): Scope.ADMIN,
    ("POST", "/v1/rollout/abort"): Scope.ADMIN,
    ("GET", "/metrics"): Scope.READ,
    ("GET", "/docs"): Scope.READ,
    ("GET", "/openapi.json"): Scope.READ,
    ("GET", "/dashboard"): Scope.READ,
    ("GET", "/dashboard/decisions"): Scope.READ,
    ("GET", "/dashboard/decisions/{decision_id}"): Scope.READ,
    ("POST", "/dashboard/logout"): Scope.READ,
}
"""What else there is. Where an endpoint is missing here, nobody but an admin gets to it."""


class ScopeTable:
    """Finds what a request is for, and its scope in :data:`SCOPES`. HEAD needs what GET needs."""

    def __init__(self) -> None:
        self._patterns = [
            ((method, path), re.compile(re.sub(r"\{\w+\}", "[^/]+", path)))
            for method, path in SCOPES
            if "{" in path
        ]

    def is_open(self, method: str, path: str) -> bool:
        """Whether anybody is answered."""
        return (_as_get(method), path) in OPEN

    def find(self, method: str, path: str) -> Scope | None:
        """The scope that the request needs; None if the table does not have it."""
        endpoint = self.find_endpoint(method, path)
        return None if endpoint is None else SCOPES.get(endpoint)

    def find_endpoint(self, method: str, path: str) -> Endpoint | None:
        """The entry of the tables that the request is for, open ones included; None if there is none."""
        method = _as_get(method)
        if (method, path) in SCOPES or (method, path) in OPEN:
            return method, path
        matching = (
            endpoint
            for endpoint, pattern in self._patterns
            if endpoint[0] == method and pattern.fullmatch(path)
        )
        return next(matching, None)


def _as_get(method: str) -> str:
    return "GET" if method == "HEAD" else method
