"""Keeps calls on public addresses: checks the address connected to before a byte is sent."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Any

from bandit_router.providers.base import FailureKind, UpstreamError


async def require_public_peer(event: str, info: dict[str, Any]) -> None:
    """Raise UpstreamError when a connection was opened to an address that is not public.

    A trace of httpcore2: the name was resolved once, so that a second answer of the DNS cannot differ.
    """
    if event != "connection.connect_tcp.complete":
        return
    stream = info["return_value"]
    host = str(stream.get_extra_info("server_addr")[0])
    if not is_public(host):
        await stream.aclose()
        raise UpstreamError(
            FailureKind.CONNECT,
            f"the address {host} is not public; set allow_private on the arm if it may be",
        )


def is_public(host: str) -> bool:
    """Whether an IP address is one of the public internet."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_global and not address.is_multicast
