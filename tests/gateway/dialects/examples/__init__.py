"""Requests and answers in each dialect, with what they say."""

from __future__ import annotations

from typing import Any

from tests.gateway.dialects.examples import chat, messages, responses
from tests.gateway.dialects.examples.example import Example

_MODULES = {"chat": chat, "responses": responses, "messages": messages}

EXAMPLES: dict[str, dict[str, Example]] = {name: module.ANSWERS for name, module in _MODULES.items()}
"""Answers by dialect and by what they are."""

REQUESTS: dict[str, dict[str, Any]] = {name: module.REQUEST for name, module in _MODULES.items()}
"""The least request of each dialect."""

FULL_REQUESTS: dict[str, dict[str, Any]] = {name: module.FULL_REQUEST for name, module in _MODULES.items()}
"""Requests with all that is read of them."""

__all__ = ["EXAMPLES", "FULL_REQUESTS", "REQUESTS", "Example"]
