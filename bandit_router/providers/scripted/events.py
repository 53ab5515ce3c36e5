"""Server-sent events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


def data_event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


def named_event(data: Mapping[str, Any]) -> bytes:
    """An event named by the type of its data."""
    return b"event: " + str(data["type"]).encode() + b"\n" + data_event(data)
