"""The headers in which clients send an API key."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Scope

from bandit_router.security.keys import Credential, parse_credential

_NAMES = frozenset({b"authorization", b"x-api-key", b"api-key"})
_BEARER = b"bearer "
_LONGEST = 128


def read_key_headers(scope: Scope) -> tuple[bytes, ...]:
    """The values of these headers, in their order, but for those that are too long to be a key."""
    return tuple([value for name, value in scope["headers"] if name in _NAMES and len(value) <= _LONGEST])


def find_credential(headers: Iterable[bytes]) -> Credential | None:
    """The first credential of ours among the values of headers; None if there is none."""
    credentials = map(_parse_header, headers)
    return next((credential for credential in credentials if credential is not None), None)


def _parse_header(value: bytes) -> Credential | None:
    text = value[len(_BEARER) :] if value[: len(_BEARER)].lower() == _BEARER else value
    return parse_credential(text.strip().decode("latin-1"))
