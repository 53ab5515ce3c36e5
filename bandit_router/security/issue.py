"""Issue, rotate and revoke keys: each returns the key as it is from then on."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from bandit_router.errors import InvalidInput
from bandit_router.security.keys import (
    ApiKey,
    NewSecret,
    Scope,
    format_credential,
    hash_secret,
    make_key_id,
    make_secret,
)
from bandit_router.validation import NAME_CHARS, check_text, read_number

LONGEST_S = 10 * 366 * 86_400.0
"""Ten years: the longest time that a key or a grace lasts, seconds."""

_LEAST_RATE = 1e-3
_LARGEST_BURST = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRequest:
    """What a new key is to be, as its owner says it. ``expires_in_s`` are seconds; None never expires.

    ``burst`` is how many requests may come at once; by default those of one second.
    """

    name: str
    scopes: Collection[str]
    arms: Collection[str] | None = None
    usd_per_day: float | None = None
    requests_per_second: float | None = None
    burst: int | None = None
    expires_in_s: float | None = None


def issue_key(request: KeyRequest, now: float, created_by: str) -> NewSecret:
    """A new key. Raises InvalidInput."""
    check_text("name", request.name, NAME_CHARS)
    secret, key_id = make_secret(), make_key_id()
    rate = _read_positive("requests_per_second", request.requests_per_second, least=_LEAST_RATE)
    lifetime_s = _read_positive("expires", request.expires_in_s, least=1.0, most=LONGEST_S)
    key = ApiKey(
        id=key_id,
        name=request.name,
        secret_hash=hash_secret(secret),
        scopes=_read_scopes(request.scopes),
        created_at=now,
        created_by=created_by,
        arms=_read_arms(request.arms),
        usd_per_day=_read_positive("usd_per_day", request.usd_per_day, least=1e-9),
        requests_per_second=rate,
        burst=_read_burst(request.burst, rate),
        expires_at=None if lifetime_s is None else now + lifetime_s,
    )
    return NewSecret(key, format_credential(key_id, secret))


def rotate_key(key: ApiKey, now: float, grace_s: float = 0.0) -> NewSecret:
    """The key with another secret. The old one is valid for ``grace_s`` seconds more. Raises InvalidInput."""
    grace_s = read_number("grace", grace_s, most=LONGEST_S)
    _require_active(key, now)
    secret = make_secret()
    rotated = replace(
        key,
        secret_hash=hash_secret(secret),
        rotated_at=now,
        former_hash=key.secret_hash if grace_s > 0.0 else None,
        former_until=now + grace_s if grace_s > 0.0 else None,
    )
    return NewSecret(rotated, format_credential(key.id, secret))


def revoke_key(key: ApiKey, now: float) -> ApiKey:
    """The key, never valid again. Raises InvalidInput if it is revoked already."""
    if key.revoked_at is not None:
        raise InvalidInput("key", f"{key.id} is revoked already", "there is nothing left to do")
    return replace(key, revoked_at=now, former_hash=None, former_until=None)


def quarantine_key(key: ApiKey, now: float) -> ApiKey:
    """The key, whose feedback counts for nothing. Raises InvalidInput if it is in quarantine already."""
    if key.quarantined_at is not None:
        raise InvalidInput("key", f"{key.id} is in quarantine already", "there is nothing left to do")
    return replace(key, quarantined_at=now)


def release_key(key: ApiKey) -> ApiKey:
    """The key, whose feedback counts again. Raises InvalidInput if it is not in quarantine."""
    if key.quarantined_at is None:
        raise InvalidInput("key", f"{key.id} is not in quarantine", "there is nothing to end")
    return replace(key, quarantined_at=None)


def _require_active(key: ApiKey, now: float) -> None:
    if (state := key.state(now)) != "active":
        raise InvalidInput("key", f"{key.id} is {state}", "create another one")


def _read_scopes(scopes: Collection[str]) -> frozenset[Scope]:
    allowed = ", ".join(Scope)
    if not scopes:
        raise InvalidInput("scope", "is missing", f"give some of {allowed}")
    for scope in scopes:
        if scope not in list(Scope):
            raise InvalidInput("scope", f"{scope!r} is not a scope", f"give some of {allowed}")
    return frozenset(map(Scope, scopes))


def _read_arms(arms: Collection[str] | None) -> frozenset[str] | None:
    if arms is None:
        return None
    if not arms:
        raise InvalidInput("arm", "is an empty list", "name an arm, or leave it out for all of them")
    for arm in arms:
        check_text("arm", arm, NAME_CHARS)
    return frozenset(arms)


def _read_burst(burst: int | None, rate: float | None) -> int | None:
    if rate is None:
        if burst is not None:
            raise InvalidInput("burst", "comes without a rate", "give requests per second, too")
        return None
    if burst is None:
        return max(1, math.ceil(rate))
    return int(read_number("burst", burst, least=1.0, most=_LARGEST_BURST))


def _read_positive(field: str, value: float | None, *, least: float, most: float = 1e9) -> float | None:
    return None if value is None else read_number(field, value, least=least, most=most)
