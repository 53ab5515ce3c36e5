"""Dialects: the HTTP forms that clients speak. Pure: bytes in, facts and bytes out.

The registry is here: a new dialect is one file and one line.
"""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.gateway.dialects.base import (
    OPTION_NAMES,
    OPTION_PREFIX,
    AnswerFacts,
    Dialect,
    DialectRequest,
    Tap,
)
from bandit_router.gateway.dialects.chat import Chat
from bandit_router.gateway.dialects.json_body import MAX_BYTES, MAX_DEPTH
from bandit_router.gateway.dialects.messages import Messages
from bandit_router.gateway.dialects.responses import Responses

DIALECTS: Mapping[str, Dialect] = {
    "chat": Chat(),
    "responses": Responses(),
    "messages": Messages(),
}

__all__ = [
    "DIALECTS",
    "MAX_BYTES",
    "MAX_DEPTH",
    "OPTION_NAMES",
    "OPTION_PREFIX",
    "AnswerFacts",
    "Dialect",
    "DialectRequest",
    "Tap",
]
