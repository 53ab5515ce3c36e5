"""Who may use the gateway while there are no keys: programs of this machine, and no page in its browser."""

from __future__ import annotations

import ipaddress

from fastapi import Request

IN_PROCESS = "bandit_router.in_process"
"""The ASGI extension of a request that came over no network. A server does not set it, and no client can."""

_FORWARDING = ("forwarded", "via", "x-real-ip")
_FORWARDING_PREFIX = "x-forwarded-"


def is_local(request: Request) -> bool:
    """Whether a request comes straight from this machine: loopback peer and Host, and no proxy between.

    What comes from this very process has neither peer nor proxy, and whatever Host its SDK believes in.

    The Host keeps out pages whose name was rebound to this machine, forwarding headers a proxy on it.
    """
    if IN_PROCESS in request.scope.get("extensions", {}):
        return True
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
