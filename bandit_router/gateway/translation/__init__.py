"""Chat to messages and back, so that a chat client reaches Claude. Pure: JSON in, JSON out.

The world is closed. A request is translated exactly, or Untranslatable names the field that is in the way.
An answer is translated exactly, or it is cut. Nothing is approximated or dropped.
"""

from bandit_router.gateway.translation.closed import Untranslatable
from bandit_router.gateway.translation.errors import translate_error
from bandit_router.gateway.translation.request import API_VERSION, MessagesRequest, translate_request
from bandit_router.gateway.translation.taps import TranslatingBodyTap, TranslatingStreamTap

__all__ = [
    "API_VERSION",
    "MessagesRequest",
    "TranslatingBodyTap",
    "TranslatingStreamTap",
    "Untranslatable",
    "translate_error",
    "translate_request",
]
