"""Users of callers: an id is known by its keyed hash, HMAC-SHA256, which differs from router to router."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def make_user_secret() -> str:
    """A new secret to hash users with: 256 random bits, as hexadecimal digits."""
    return secrets.token_hex(32)


def hash_user(secret: str, user: str) -> str:
    """The keyed hash of a user, as 64 hexadecimal digits."""
    return hmac.new(bytes.fromhex(secret), user.encode(), hashlib.sha256).hexdigest()
