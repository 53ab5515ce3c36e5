"""API keys: what they allow, the form in which clients send them, and whether they are valid now.

A credential is ``br_<id>_<secret>``. The id finds the key; the secret, 256 random bits, proves it. Only its
SHA-256 is kept. Nobody can try that many secrets, so that a slow hash would add nothing but a way to keep the
server busy.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

PREFIX = "br_"

_SECRET_BYTES = 32
_ID_BYTES = 6
_CREDENTIAL = re.compile(rf"{PREFIX}([0-9a-f]{{{2 * _ID_BYTES}}})_([A-Za-z0-9_-]{{43}})")


class Scope(StrEnum):
    """What a key is for. ``ADMIN`` includes the others."""

    ROUTE = "route"
    FEEDBACK = "feedback"
    READ = "read"
    ADMIN = "admin"


class Invalidity(StrEnum):
    """Why a credential is refused."""

    UNKNOWN = "is not valid"
    REVOKED = "was revoked"
    EXPIRED = "has expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key. Times are Unix time, seconds.

    With ``arms``, only these may be called with it. ``requests_per_second`` limits it in each worker, with
    ``burst`` requests at once. Until ``former_until`` the secret from before the last rotation is valid, too.
    With ``quarantined_at`` its feedback counts for nothing.
    """

    id: str
    name: str
    secret_hash: str = field(repr=False)
    scopes: frozenset[Scope]
    created_at: float
    created_by: str
    arms: frozenset[str] | None = None
    usd_per_day: float | None = None
    requests_per_second: float | None = None
    burst: int | None = None
    expires_at: float | None = None
    revoked_at: float | None = None
    rotated_at: float | None = None
    former_hash: str | None = field(default=None, repr=False)
    former_until: float | None = None
    quarantined_at: float | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the key has the scope, or all of them."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def state(self, now: float) -> str:
        """Whether it is in use, for people: ``active``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"


class Credential(NamedTuple):
    """What a client sent, without the secret itself."""

    key_id: str
    secret_hash: str


class NewSecret(NamedTuple):
    """A key with its credential, which is shown once and kept nowhere."""

    key: ApiKey
    credential: str


def make_key_id() -> str:
    """A new id of a key."""
    return secrets.token_hex(_ID_BYTES)


def make_secret() -> str:
    """A new secret, 256 random bits as text."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def format_credential(key_id: str, secret: str) -> str:
    """What a client sends."""
    return f"{PREFIX}{key_id}_{secret}"


def parse_credential(text: str) -> Credential | None:
    """What a client sent; None if it does not have the form of a credential."""
    parts = _CREDENTIAL.fullmatch(text)
    return None if parts is None else Credential(parts[1], hash_secret(parts[2]))


def find_invalidity(key: ApiKey | None, credential: Credential, now: float) -> Invalidity | None:
    """Why the credential is refused at ``now``; None if it is that of the key. ``key`` is None if unknown.

    Secrets are compared in constant time. Only who has the secret hears that a key was revoked or expired.
    """
    if key is None or not _has_secret(key, credential.secret_hash, now):
        return Invalidity.UNKNOWN
    if key.revoked_at is not None:
        return Invalidity.REVOKED
    if key.expires_at is not None and now >= key.expires_at:
        return Invalidity.EXPIRED
    return None


def _has_secret(key: ApiKey, secret_hash: str, now: float) -> bool:
    if hmac.compare_digest(key.secret_hash, secret_hash):
        return True
    if key.former_hash is None or key.former_until is None or now >= key.former_until:
        return False
    return hmac.compare_digest(key.former_hash, secret_hash)
