"""Who may use the gateway while there are no keys: programs of this machine, and no page in its browser."""

from __future__ import annotations

import ipaddress

from fastapi import Request

_FORWARDING = ("forwarded", "via", "x-real-ip")
_FORWARDING_PREFIX = "x-forwarded-"


def is_local(request: Request) -> bool:
    """Whether a request comes straight from this machine: loopback peer and Host, and no proxy between.

    The Host keeps out pages whose name was rebound to this machine, forwarding headers a proxy on it.
    """
    peer = request.client.host if request.client is not None else ""
    return (
        _is_loopback(peer)
        and _is_loopback(request.url.hostname or "")
        and not any(name in _FORWARDING or name.startswith(_FORWARDING_PREFIX) for name in request.headers)
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
