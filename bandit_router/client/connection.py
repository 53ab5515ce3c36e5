"""What both clients are opened with: the address of the service, its API key, and patience."""

from __future__ import annotations

import os
import re
from typing import Any

import httpx2

from bandit_router.client.attempts import Patience
from bandit_router.errors import ClientClosed, InvalidInput, RouterForked
from bandit_router.validation import check_string, read_number

_MOST_ATTEMPTS = 100
_API_KEY = re.compile(r"[!-~]+")


def make_http_options(url: str, api_key: str | None) -> dict[str, Any]:
    """The options of the HTTP client. Raises InvalidInput, in whose message there is no key."""
    fix = "give http://host:port or https://host, with no more than a path"
    try:
        address = httpx2.URL(check_string("url", url))
    except httpx2.InvalidURL:
        raise InvalidInput("url", "is no URL", fix) from None
    if address.scheme not in ("http", "https") or not address.host:
        raise InvalidInput("url", "is not that of a service", fix)
    if address.userinfo or address.query or address.fragment:
        raise InvalidInput("url", "has more than an address", fix)
    headers = {} if api_key is None else {"authorization": f"Bearer {_check_api_key(api_key)}"}
    return {"base_url": address, "headers": headers}


def make_patience(timeout_s: float, attempt_timeout_s: float, attempts: int) -> Patience:
    """The patience of a client. Raises InvalidInput."""
    if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= _MOST_ATTEMPTS:
        fix = f"give a whole number in [1, {_MOST_ATTEMPTS}]"
        raise InvalidInput("attempts", "is not a number of attempts", fix)
    return Patience(
        timeout_s=read_number("timeout_s", timeout_s),
        attempt_timeout_s=read_number("attempt_timeout_s", attempt_timeout_s),
        attempts=attempts,
    )


def check_usable(http: httpx2.Client | httpx2.AsyncClient, process: int) -> None:
    """Raise ClientClosed, or RouterForked in another process, with which it would share its connections."""
    if http.is_closed:
        raise ClientClosed
    if os.getpid() != process:
        raise RouterForked


def _check_api_key(api_key: str) -> str:
    if not _API_KEY.fullmatch(check_string("api_key", api_key)):
        raise InvalidInput(
            "api_key", "has characters that no key has", "send br_… without spaces or line ends"
        )
    return api_key
