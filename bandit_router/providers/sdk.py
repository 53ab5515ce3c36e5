"""A call through a provider's SDK: its authentication, pool and typed errors, and no parsing of its own.

Both SDKs, openai and anthropic, come from one generator: the names used here are the same in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import httpx2

from bandit_router.errors import ConfigError
from bandit_router.providers.addresses import require_public_peer
from bandit_router.providers.api_key import ApiKey
from bandit_router.providers.base import Completion, FailureKind, UpstreamError
from bandit_router.providers.completions import FORMS, read_completion, write_completion
from bandit_router.providers.deadlines import Deadlines
from bandit_router.settings.arms import ArmSection
from bandit_router.types import DialectName

CONNECT_TIMEOUT_S = 10.0

_HOP_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "transfer-encoding",
        "trailer",
        "upgrade",
    }
)
"""Headers of the connection upstream, and of the body as it was encoded there."""

_ACCOUNT_HEADERS = ("OpenAI-Organization", "OpenAI-Project")
"""What the SDK takes from the environment, and no other server needs to know."""

_PATHS = {
    "/v1/chat/completions": DialectName.CHAT,
    "/v1/embeddings": DialectName.CHAT,
    "/v1/responses": DialectName.RESPONSES,
    "/v1/messages": DialectName.MESSAGES,
    "/v1/messages/count_tokens": DialectName.MESSAGES,
}


class UnloggedBytes(bytes):
    """Bytes that SDKs cannot show when they log a request."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


class SdkAnswer:
    """An answer that has begun; an UpstreamAnswer."""

    def __init__(self, response: httpx2.Response, deadlines: Deadlines) -> None:
        self.status = response.status_code
        self.headers: Sequence[tuple[str, str]] = _pass_on(response.headers)
        self._response = response
        self._deadlines = deadlines

    async def iterate_bytes(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._deadlines.watch(self._response.aiter_bytes()):
                yield chunk
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _describe_cut(error) from None

    async def aclose(self) -> None:
        await self._response.aclose()


class SdkClient:
    """The SDK's client of one arm, made with the first call."""

    def __init__(self, arm: ArmSection, sdk: ModuleType, client_name: str, key: ApiKey | None) -> None:
        self._arm, self._sdk, self._key = arm, sdk, key
        hooks = {} if arm.allow_private else {"request": [_trace_connections]}
        self._client = getattr(sdk, client_name)(
            api_key="none" if key is None else key.read(),
            base_url="http://unused.invalid",  # else the SDK reads one from the environment
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S),
            http_client=sdk.DefaultAsyncHttpxClient(follow_redirects=False, event_hooks=hooks),
        )
        self._headers: dict[str, Any] = {"Content-Type": "application/json"}
        if key is None:
            self._headers["Authorization"] = sdk.Omit()
        if arm.base_url is not None:
            self._headers |= dict.fromkeys(_ACCOUNT_HEADERS, sdk.Omit())

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, stream: bool) -> SdkAnswer:
        """Returns with the headers of a successful answer. Raises UpstreamError."""
        deadlines = Deadlines.from_now(self._arm, stream=stream)
        if self._key is not None:
            self._client.api_key = self._key.read()
        try:
            async with asyncio.timeout_at(deadlines.begin_at):
                opened = await self._client.post(
                    url,
                    cast_to=object,
                    content=UnloggedBytes(body),
                    options={"headers": {**headers, **self._headers}},
                    stream=True,
                    stream_cls=self._sdk.AsyncStream[object],
                )
        except TimeoutError:
            raise UpstreamError(FailureKind.TIMEOUT, "no answer in time") from None
        except self._sdk.APIStatusError as error:
            raise self._describe_status(error.response) from None
        except self._sdk.APIConnectionError as error:
            raise _describe_connection(error.__cause__) from None
        except httpx2.HTTPError as error:  # the body of an error status
            raise _describe_cut(error) from None
        return SdkAnswer(opened.response, deadlines)

    async def aclose(self) -> None:
        await self._client.close()

    def _describe_status(self, response: httpx2.Response) -> UpstreamError:
        body = response.content
        if self._key is not None:
            body = self._key.redact(body)
            if response.status_code == 401:
                self._key.forget()
        return UpstreamError(
            FailureKind.STATUS,
            f"upstream answered {response.status_code}",
            status=response.status_code,
            headers=_pass_on(response.headers),
            body=body,
        )


class SdkProvider:
    """The provider of one arm; a Provider."""

    def __init__(self, client: SdkClient, urls: Mapping[str, str], model: str) -> None:
        """``urls`` has the URL of each path the arm is called at."""
        self._client, self._urls, self._model = client, urls, model

    async def send(
        self, path: str, body: bytes, headers: Mapping[str, str], *, stream: bool = True
    ) -> SdkAnswer:
        return await self._client.post(self._urls[path], body, headers, stream=stream)

    async def complete(self, text: str, *, max_output_tokens: int) -> Completion:
        path = next(path for path in FORMS if path in self._urls)
        body = write_completion(path, self._model, text, max_output_tokens)
        return await read_completion(path, await self.send(path, body, {}, stream=False))

    async def aclose(self) -> None:
        await self._client.aclose()


def make_urls(
    arm: ArmSection, native: Mapping[DialectName, str], dialects: tuple[DialectName, ...]
) -> dict[str, str]:
    """The URL of each path that an arm is called at. Raises ConfigError for a dialect without a base URL.

    SDKs write base URLs differently: OpenAI's ends in /v1, Anthropic's does not.
    """
    bases = arm.base_urls() or native
    if missing := [dialect for dialect in dialects if dialect not in bases]:
        raise ConfigError(
            f"arm {arm.name!r}: {arm.provider} itself does not speak {', '.join(missing)}; give the arm "
            "a base_url for it, or leave it out of dialects"
        )
    urls = {}
    for path, dialect in _PATHS.items():
        if dialect in dialects:
            base = bases[dialect].rstrip("/")
            urls[path] = (
                base.removesuffix("/v1") + path
                if dialect is DialectName.MESSAGES
                else base + path.removeprefix("/v1")
            )
    return urls


async def _trace_connections(request: httpx2.Request) -> None:
    request.extensions["trace"] = require_public_peer


def _pass_on(headers: httpx2.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers.multi_items() if name.lower() not in _HOP_HEADERS)


def _describe_cut(error: Exception) -> UpstreamError:
    return UpstreamError(FailureKind.CUT, f"the answer was cut: {type(error).__name__}")


def _describe_connection(cause: BaseException | None) -> UpstreamError:
    """What went wrong before the headers came: nothing was sent, or the connection ended after."""
    name = type(cause).__name__
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return UpstreamError(FailureKind.CONNECT, f"cannot connect: {name}")
    return UpstreamError(FailureKind.CUT, f"the connection ended before an answer: {name}")
