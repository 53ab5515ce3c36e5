"""The certificates that HTTP clients trust, read once in a process: it takes 25 ms, and tests need none."""

from __future__ import annotations

import ssl
from functools import cache


def share_certificates() -> None:
    """Let all HTTP clients of this process that ask for the same certificates have one context of TLS."""
    ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]
