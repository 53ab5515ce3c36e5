"""Sessions of the dashboard: a browser shows a random token instead of the API key it logged in with.

Only the SHA-256 of the token is kept, beside the credential that it stands for, so that a session ends with
its key: when that is revoked, expires, or gets another secret.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from bandit_router.security.keys import Credential, hash_secret

SESSION_S = 12 * 3600.0
"""The longest time, seconds, that a session lasts."""

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class Session(NamedTuple):
    """What a token stands for, until a Unix time, seconds."""

    credential: Credential
    expires_at: float


def make_token() -> str:
    """A new token, 256 random bits as text."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def hash_token(text: str) -> str | None:
    """The hash by which a session is looked up; None if the text does not have the form of a token."""
    return hash_secret(text) if _TOKEN.fullmatch(text) else None
