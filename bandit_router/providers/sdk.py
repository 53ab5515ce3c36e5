"""A call through a provider's SDK: its authentication, headers and pool, and no parsing of its own.

Both SDKs, openai and anthropic, come from one generator: the names used here are the same in both.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import anyio
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

_ACCOUNT_HEADERS = ("openai-organization", "openai-project")
"""What the SDK takes from the environment, and no other server needs to know."""

_NO_KEY = "none"
_KEY_HEADERS = ("authorization", "x-api-key")

_CONNECTION_ERRORS = (httpx2.HTTPError, httpx2.StreamError, ssl.SSLError, anyio.EndOfStream)
"""What a connection that fails raises: httpx2 lets some failures of TLS through, as the SDKs know too."""

_PATHS = {
    "/v1/chat/completions": DialectName.CHAT,
    "/v1/embeddings": DialectName.CHAT,
    "/v1/responses": DialectName.RESPONSES,
    "/v1/messages": DialectName.MESSAGES,
    "/v1/messages/count_tokens": DialectName.MESSAGES,
}


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
        except _CONNECTION_ERRORS as error:
            detail = f"the answer was cut: {type(error).__name__}"
            raise UpstreamError(FailureKind.CUT, detail) from None

    async def aclose(self) -> None:
        await self._response.aclose()


class SdkClient:
    """The SDK's client of one arm, made with the first call: its authentication, its headers and its pool.

    A request goes straight to the HTTP client of the SDK. The SDK's own ``post`` would build and validate
    options, URL and headers anew, which takes as long as the rest of the call; of its errors, nothing but the
    response would be used.
    """

    def __init__(self, arm: ArmSection, sdk: ModuleType, client_name: str, key: ApiKey | None) -> None:
        self._arm, self._key = arm, key
        self._http: httpx2.AsyncClient = sdk.DefaultAsyncHttpxClient(
            follow_redirects=False, timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        )
        self._client = getattr(sdk, client_name)(
            api_key=_NO_KEY if key is None else key.read(),
            base_url="http://unused.invalid",  # else the SDK reads one from the environment
            http_client=self._http,
        )
        self._withheld = {
            *(_KEY_HEADERS if key is None else ()),
            *(() if arm.base_url is None else _ACCOUNT_HEADERS),
        }
        self._extensions = {} if arm.allow_private else {"trace": require_public_peer}
        self._sdk_headers = self._select({**self._client.default_headers, **self._client.auth_headers})

    async def post(
        self, url: httpx2.URL, body: bytes, headers: Mapping[str, str], *, stream: bool
    ) -> SdkAnswer:
        """Returns with the headers of a successful answer. Raises UpstreamError."""
        deadlines = Deadlines.from_now(self._arm, stream=stream)
        request = httpx2.Request(
            "POST", url, headers=self._make_headers(headers), content=body, extensions=self._extensions
        )
        try:
            async with asyncio.timeout_at(deadlines.begin_at):
                response = await self._http.send(request, stream=True)
                if not response.is_success:
                    await response.aread()
        except TimeoutError:
            raise UpstreamError(FailureKind.TIMEOUT, "no answer in time") from None
        except _CONNECTION_ERRORS as error:
            raise _describe_connection(error) from None
        if not response.is_success:
            raise self._describe_status(response)
        return SdkAnswer(response, deadlines)

    def _make_headers(self, given: Mapping[str, str]) -> httpx2.Headers:
        """The headers of the SDK, with the key as it is now, and the ``given`` ones over them."""
        if self._key is not None and (key := self._key.read()) != self._client.api_key:
            self._client.api_key = key
            self._sdk_headers.update(self._client.auth_headers)
        headers = self._sdk_headers.copy()
        headers.update(self._select(given))
        return headers

    def _select(self, headers: Mapping[str, Any]) -> httpx2.Headers:
        """The headers that are sent: the SDK has marks in place of values that are not set."""
        return httpx2.Headers(
            {
                name: value
                for name, value in headers.items()
                if isinstance(value, str) and name.lower() not in self._withheld
            }
        )

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
        self._client, self._model = client, model
        self._urls = {path: httpx2.URL(url) for path, url in urls.items()}

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


def _pass_on(headers: httpx2.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers.multi_items() if name.lower() not in _HOP_HEADERS)


def _describe_connection(error: Exception) -> UpstreamError:
    """What went wrong before the answer began: nothing was sent, or the connection ended after."""
    name = type(error).__name__
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return UpstreamError(FailureKind.CONNECT, f"cannot connect: {name}")
    return UpstreamError(FailureKind.CUT, f"the connection ended before an answer: {name}")
