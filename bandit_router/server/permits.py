"""Permits: requests that were let in with a key, so that others like them are let in by one look-up."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Scope

from bandit_router.security.keys import ApiKey, Credential
from bandit_router.server.key_headers import find_credential, read_key_headers
from bandit_router.server.scopes import SCOPES

_MOST = 1024

Permit = tuple[tuple[bytes, ...], str, str]
"""What requests that are alike have in common: the headers with their key, the method and the path."""


class Permits:
    """The keys of requests that were let in.

    ``recall`` returns the key of that id as it was read last, None once it is to be read anew. ``now`` is
    the time of the router.
    """

    def __init__(self, recall: Callable[[str], ApiKey | None], now: Callable[[], float]) -> None:
        self._recall = recall
        self._now = now
        self._keys: dict[Permit, ApiKey] = {}

    def find_key(self, scope: Scope) -> ApiKey | None:
        """The key of a request, if one like it was let in and nothing changed since; None otherwise.

        The look-up compares the secret only where its hash, of a random seed, is the same: how long it takes
        says nothing of a secret.
        """
        key = self._keys.get(_make_permit(scope))
        if key is None or self._recall(key.id) is not key:
            return None
        is_over = key.expires_at is not None and self._now() >= key.expires_at
        return None if is_over else key

    def add(self, scope: Scope, key: ApiKey) -> None:
        """Remember a request that was let in, but for a session's and one with a key's former secret."""
        permit = headers, method, path = _make_permit(scope)
        if (method, path) in SCOPES and find_credential(headers) == Credential(key.id, key.secret_hash):
            if len(self._keys) >= _MOST:
                self._keys.clear()
            self._keys[permit] = key


def _make_permit(scope: Scope) -> Permit:
    return read_key_headers(scope), scope["method"], scope["path"]
