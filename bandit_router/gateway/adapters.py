"""How an arm takes the requests of a dialect: as they are, or translated."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bandit_router.gateway.dialects import DIALECTS, Dialect, DialectRequest, Tap
from bandit_router.gateway.exchange import Exchange
from bandit_router.gateway.translation import (
    API_VERSION,
    TranslatingBodyTap,
    TranslatingStreamTap,
    Untranslatable,
    translate_error,
)
from bandit_router.providers.base import UpstreamError
from bandit_router.providers.registry import find_translations, list_dialects
from bandit_router.settings.arms import ArmSection
from bandit_router.types import DialectName

_CAN_BE_FORCED = re.compile(r"claude-(?:3|(?:opus|sonnet|haiku)-4|(?:opus|sonnet)-5(?!-\d\b)|haiku-5)")
"""Models that can be told to call a tool, of those before Opus 5.5 and Sonnet 5.5, which refuse."""


class Adapter(Protocol):
    """What stands between the requests of one dialect and one arm."""

    @property
    def path(self) -> str:
        """Where the arm is called."""

    @property
    def gives_logprobs(self) -> bool:
        """Whether the arm may be asked for the log-probabilities of its tokens."""

    def find_obstacle(self, exchange: Exchange) -> str | None:
        """Why the arm cannot take the request; None if it can."""

    def write_body(self, exchange: Exchange) -> bytes:
        """The body for the arm, of a request without an obstacle."""

    def select_headers(self, exchange: Exchange) -> Mapping[str, str]:
        """The headers of the client that the arm gets."""

    def open_tap(self, request: DialectRequest) -> Tap:
        """A tap whose bytes are of the client's dialect."""

    def translate_failure(self, failure: UpstreamError) -> UpstreamError:
        """The failure with a body of the client's dialect."""


@dataclass(frozen=True, slots=True)
class PassThrough:
    """Requests and answers of a dialect that the arm speaks itself."""

    dialect: Dialect
    model: str
    gives_logprobs: bool = False

    @property
    def path(self) -> str:
        return self.dialect.path

    def find_obstacle(self, exchange: Exchange) -> str | None:
        del exchange
        return None

    def write_body(self, exchange: Exchange) -> bytes:
        return self.dialect.write_request(exchange.raw, exchange.request, self.model)

    def select_headers(self, exchange: Exchange) -> Mapping[str, str]:
        return exchange.headers

    def open_tap(self, request: DialectRequest) -> Tap:
        return self.dialect.open_tap(request)

    def translate_failure(self, failure: UpstreamError) -> UpstreamError:
        return failure


@dataclass(frozen=True, slots=True)
class ChatToMessages:
    """Chat requests to an arm that speaks messages. ``now`` returns Unix time."""

    model: str
    max_output_tokens: int
    now: Callable[[], float] = time.time
    gives_logprobs: bool = False

    @property
    def path(self) -> str:
        return DIALECTS[DialectName.MESSAGES].path

    def find_obstacle(self, exchange: Exchange) -> str | None:
        translated = exchange.translated
        if isinstance(translated, Untranslatable):
            return f"does not translate {translated.field}"
        if (translated.max_tokens or 0) > self.max_output_tokens:
            return f"answers with at most {self.max_output_tokens} tokens"
        if translated.forces_tool and not _CAN_BE_FORCED.search(self.model):
            return "does not translate tool_choice"
        return None

    def write_body(self, exchange: Exchange) -> bytes:
        translated = exchange.translated
        if isinstance(translated, Untranslatable):
            raise translated
        return translated.write(self.model, self.max_output_tokens)

    def select_headers(self, exchange: Exchange) -> Mapping[str, str]:
        """Without those that say something of either API."""
        headers = {
            name: value
            for name, value in exchange.headers.items()
            if not name.startswith(("openai-", "anthropic-"))
        }
        return {**headers, "anthropic-version": API_VERSION}

    def open_tap(self, request: DialectRequest) -> Tap:
        created = int(self.now())
        if request.stream:
            return TranslatingStreamTap(
                created, wants_usage=request.wants_usage, keeps_text=request.keeps_text
            )
        return TranslatingBodyTap(created, keeps_text=request.keeps_text)

    def translate_failure(self, failure: UpstreamError) -> UpstreamError:
        if failure.status is None:
            return failure
        return UpstreamError(
            failure.kind,
            str(failure),
            status=failure.status,
            headers=failure.headers,
            body=translate_error(failure.body, failure.status),
        )


def make_adapters(arm: ArmSection) -> Mapping[str, Adapter]:
    """An adapter for each dialect whose requests the arm takes."""
    model, translations = arm.model or arm.name, find_translations(arm)
    return {
        dialect: ChatToMessages(model, arm.max_output_tokens)
        if dialect in translations
        else PassThrough(DIALECTS[dialect], model, arm.logprobs and dialect is DialectName.CHAT)
        for dialect in list_dialects(arm)
    }
