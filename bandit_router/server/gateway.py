"""The endpoints of the gateway: the HTTP APIs of OpenAI and Anthropic, each in its own form."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from bandit_router.errors import ArmForbidden, InvalidInput
from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.dialects import DIALECTS, MAX_BYTES, Dialect
from bandit_router.gateway.exchange import AUTO, UnknownModel, make_exchange, replace_model, select_forwarded
from bandit_router.gateway.gateway import Gateway
from bandit_router.gateway.limits import TooBusy
from bandit_router.providers.base import UpstreamAnswer
from bandit_router.server.body import MAX_BYTES as LARGE_BYTES
from bandit_router.server.body import BodyMemory, read_bytes, require_json
from bandit_router.server.caller import find_granted_arms, find_key
from bandit_router.server.gateway_replies import (
    JSON_TYPE,
    Reply,
    make_error_response,
    name_decision,
    pass_headers,
    reply_to_error,
    write_last_event,
)
from bandit_router.server.held_stream import HEADERS as HELD_HEADERS
from bandit_router.server.held_stream import HeldStream
from bandit_router.server.problems import BadRequest

_MODELS = "/v1/models"


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """What answers a request of one path in one dialect."""

    dialect: Dialect
    reply: Callable[[GatewayEndpoints, Request, bytes], Awaitable[Reply]]


class GatewayEndpoints:
    """An ASGI app in front of ``app`` that answers the paths of the gateway itself.

    A client that leaves cancels whatever is done for it, up to the call upstream.
    """

    def __init__(self, app: FastAPI, inner: Any) -> None:
        self._app = app
        self._inner = inner
        self._memory = BodyMemory(MAX_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path == _MODELS and scope["method"] in ("GET", "HEAD"):
            response = await self._list_models(Request(scope))
            await response(scope, receive, send)
            return
        endpoint = _ENDPOINTS.get(path) if path and scope["method"] == "POST" else None
        if endpoint is None:
            await self._inner(scope, receive, send)
            return
        request = Request(scope, receive)
        with self._memory.hold() as held:
            try:
                require_json(request)
                raw = bytes(await read_bytes(request, held))
            except BadRequest as error:
                await make_error_response(endpoint.dialect, error.status, error.detail)(scope, receive, send)
                return
            work = asyncio.create_task(self._serve(endpoint, request, raw, send))
            await _run_while_connected(work, receive)

    @property
    def gateway(self) -> Gateway:
        """The gateway of this worker."""
        gateway: Gateway = self._app.state.gateway
        return gateway

    async def _serve(self, endpoint: _Endpoint, request: Request, raw: bytes, send: Send) -> None:
        """Answer one request, if there is room for it."""
        try:
            with self.gateway.slots.hold():
                await self._send(await self._reply(endpoint, request, raw), send)
        except TooBusy as error:
            await self._send(reply_to_error(endpoint.dialect, error, 0.0), send)

    async def _reply(self, endpoint: _Endpoint, request: Request, raw: bytes) -> Reply:
        try:
            return await endpoint.reply(self, request, raw)
        except Exception as error:
            return reply_to_error(endpoint.dialect, error, self.gateway.health.retry_after_s())

    async def _send(self, reply: Reply, send: Send) -> None:
        """Send a reply. Once its status is sent, an error can only end the connection."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        try:
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            async for piece in reply.pieces:
                if piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await reply.end()

    async def _list_models(self, request: Request) -> Response:
        dialect = _find_models_dialect(request.scope)
        await self.gateway.pool.open()
        arms, granted = self.gateway.pool.arms, find_granted_arms(request)
        enabled = [arm.name for arm in self.gateway.router.arms if arm.enabled and arm.name in arms]
        callable_arms = [name for name in enabled if granted is None or name in granted]
        return Response(dialect.models_body([*AUTO, *callable_arms]), media_type=JSON_TYPE[1])


async def _run_while_connected(work: asyncio.Task[None], receive: Receive) -> None:
    """Wait for the work, and cancel it when the client leaves."""
    watch = asyncio.ensure_future(_wait_until_gone(receive))
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.cancel()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _route(endpoints: GatewayEndpoints, request: Request, raw: bytes) -> Reply:
    """Choose an arm, call it, and pass its answer on."""
    dialect = _ENDPOINTS[request.url.path].dialect
    gateway = endpoints.gateway
    headers, names = dict(request.headers), [arm.name for arm in gateway.router.arms]
    key = find_key(request)
    read = partial(make_exchange, dialect, raw, headers, names, key)
    # A large request is read in a thread, so that others go on meanwhile.
    exchange = await asyncio.to_thread(read) if len(raw) > LARGE_BYTES else read()
    if gateway.cascade is None or not exchange.request.stream:
        # In this task: an answer that another one returns would be lost if the client left just then.
        answered = await gateway.answer(exchange)
    else:
        answering = asyncio.ensure_future(gateway.answer(exchange))
        every_s = gateway.router.settings.cascade.keep_alive_s
        stream = HeldStream(answering, every_s, partial(write_last_event, dialect))
        if not await stream.is_answered():
            return Reply(200, HELD_HEADERS, stream.iterate_bytes(), stream.aclose)
        answered = answering.result()
    call, record = answered.call, answered.call.record
    ours = name_decision(answered.decision.id, answered.decision.arm, answered.fallbacks)
    headers_passed = [*pass_headers(record.headers), *ours]
    return Reply(record.status or 200, headers_passed, call.iterate_bytes(), call.aclose)


async def _count_tokens(endpoints: GatewayEndpoints, request: Request, raw: bytes) -> Reply:
    """Have an arm that speaks messages count: the one named, or else the first."""
    dialect = DIALECTS["messages"]
    gateway = endpoints.gateway
    await gateway.pool.open()
    parsed = dialect.read_request(raw)
    enabled = {arm.name for arm in gateway.router.arms if arm.enabled}
    arms = [arm for arm in gateway.pool.arms.values() if arm.name in enabled and dialect.name in arm.adapters]
    if parsed.model not in AUTO:
        arms = [arm for arm in arms if arm.name == parsed.model]
    if not arms:
        raise UnknownModel("model", f"{parsed.model!r} is no arm that counts tokens", "name one of messages")
    arms = _select_granted(arms, request)
    body = dialect.write_request(raw, parsed, arms[0].model)
    headers = select_forwarded(dict(request.headers))
    answer = await arms[0].provider.send(request.url.path, body, headers, stream=False)
    return _pass_answer(answer)


async def _embed(endpoints: GatewayEndpoints, request: Request, raw: bytes) -> Reply:
    """Pass a request for embeddings on to the arm of the settings; there is nothing to choose."""
    gateway = endpoints.gateway
    name = gateway.router.settings.gateway.embeddings_arm
    if name is None:
        raise UnknownModel("model", "there is no arm for embeddings", "set gateway.embeddings_arm")
    key = find_key(request)
    if key is not None and key.usd_per_day is not None:
        raise InvalidInput("api_key", "has a budget, and embeddings are not counted", "use a key without one")
    await gateway.pool.open()
    if name not in gateway.pool.arms:
        raise UnknownModel("model", f"arm {name!r} cannot be called", "see the log of the service")
    (arm,) = _select_granted([gateway.pool.arms[name]], request)
    body = replace_model(raw, arm.model)
    headers = select_forwarded(dict(request.headers))
    answer = await arm.provider.send(request.url.path, body, headers, stream=False)
    return _pass_answer(answer)


def _pass_answer(answer: UpstreamAnswer) -> Reply:
    return Reply(answer.status, pass_headers(answer.headers), answer.iterate_bytes(), answer.aclose)


def _select_granted(arms: list[CallableArm], request: Request) -> list[CallableArm]:
    """The arms that the request's key is for. Raises ArmForbidden when there is none."""
    granted = find_granted_arms(request)
    selected = arms if granted is None else [arm for arm in arms if arm.name in granted]
    if not selected:
        raise ArmForbidden(arms[0].name)
    return selected


def find_dialect(scope: Scope) -> Dialect | None:
    """The dialect in which a request is answered; None where it is not one of the gateway's."""
    if scope["path"] == _MODELS:
        return _find_models_dialect(scope)
    endpoint = _ENDPOINTS.get(scope["path"])
    return None if endpoint is None else endpoint.dialect


def _find_models_dialect(scope: Scope) -> Dialect:
    """The form of the list of models: Anthropic's clients say that they are that."""
    of_anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
    return DIALECTS["messages" if of_anthropic else "chat"]


_ENDPOINTS: Mapping[str, _Endpoint] = {
    **{dialect.path: _Endpoint(dialect, _route) for dialect in DIALECTS.values()},
    "/v1/embeddings": _Endpoint(DIALECTS["chat"], _embed),
    "/v1/messages/count_tokens": _Endpoint(DIALECTS["messages"], _count_tokens),
}

GATEWAY_PATHS = (*_ENDPOINTS, _MODELS)
"""Every path that the gateway answers itself."""
