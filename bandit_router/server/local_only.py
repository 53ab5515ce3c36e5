"""Who is answered while there are no keys: programs of this machine, and no page in its browser."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from starlette.types import Scope

_FORWARDING = frozenset(
    {b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"cf-connecting-ip", b"true-client-ip"}
)
_FORWARDING_PREFIX = b"x-forwarded-"
_HOST = re.compile(rb"(?:\[([0-9a-f:.]+)\]|([^:@/\[\]]+))(?::\d+)?", re.IGNORECASE)


def is_local(scope: Scope) -> bool:
    """Whether a request comes straight from this machine: loopback peer and Host, and no proxy between.

    The Host keeps out pages whose name was rebound to this machine, forwarding headers a proxy on it.
    """
    hosts = []
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value)
        elif name in _FORWARDING or name.startswith(_FORWARDING_PREFIX):
            return False
    peer = scope.get("client")
    return peer is not None and _is_loopback(peer[0]) and len(hosts) == 1 and _names_loopback(hosts[0])


@lru_cache(maxsize=64)
def _names_loopback(host: bytes) -> bool:
    """Whether a Host header, with its port or without, is this machine's loopback."""
    parts = _HOST.fullmatch(host)
    return parts is not None and _is_loopback((parts[1] or parts[2]).decode("latin-1"))


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
