"""Clients of the gateway, some of whom leave at a random moment, and what all of them were told."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from bandit_router.gateway.dialects import DIALECTS
from tests.durability.campaign.gateway.upstream import ARMS
from tests.durability.helpers import PATIENCE_S, Acknowledgements, quality

CLIENTS = 8
_LEAVING_RATE = 0.25
_NAMED_RATE = 0.1
_RATED_RATE = 0.5
_PAUSE_S = 0.02
_ERROR = re.compile(rb'"error":\{|^event: error', re.MULTILINE)
_ANSWER_ID = re.compile(rb'"id":"((?:chatcmpl-|resp_|msg_)[0-9a-f]+)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request. ``patience_s`` is when its client leaves, None if it stays."""

    marker: str
    path: str
    body: dict[str, Any]
    patience_s: float | None


@contextmanager
def clients_of(url: str, told: Acknowledgements, seed: int) -> Iterator[None]:
    """Clients that ask the gateway at ``url`` while the block lasts; none of them is connected after it."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(asyncio.run, _ask_all(url, told, seed, stop))
        try:
            yield
        finally:
            stop.set()
        asking.result()


async def _ask_all(url: str, told: Acknowledgements, seed: int, stop: threading.Event) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
        await asyncio.gather(*(_converse(http, told, f"{seed:x}{n:x}", stop) for n in range(CLIENTS)))


async def _converse(
    http: httpx.AsyncClient, told: Acknowledgements, name: str, stop: threading.Event
) -> None:
    """One client: asks one thing after another, each once, whatever becomes of it."""
    rng, number = random.Random(name), 0
    while not stop.is_set():
        number += 1
        request = make_request(rng, f"q-{name}-{number}")
        told.note("asked", request.marker, None)
        try:
            async with asyncio.timeout(request.patience_s):
                answered = await _ask(http, told, request)
            if answered is not None and rng.random() < _RATED_RATE:
                await _rate(http, told, *answered)
        except TimeoutError:
            told.note("left", request.marker)
        except httpx.TransportError as error:
            told.note("dropped", repr(error))
            await asyncio.sleep(_PAUSE_S)


def make_request(rng: random.Random, marker: str) -> Request:
    """A request in any dialect, streamed or not."""
    dialect = rng.choice(list(DIALECTS.values()))
    text = f"{marker}: what is the meaning of life?"
    messages = [{"role": "user", "content": text}]
    prompt = {"input": text} if dialect.name == "responses" else {"messages": messages}
    most = {"max_tokens": 1000} if dialect.name == "messages" else {}
    model = rng.choice(ARMS) if rng.random() < _NAMED_RATE else "auto"
    body = {"model": model, "stream": rng.random() < 0.7, **prompt, **most}
    patience_s = rng.random() * 0.3 if rng.random() < _LEAVING_RATE else None
    return Request(marker=marker, path=dialect.path, body=body, patience_s=patience_s)


async def _ask(http: httpx.AsyncClient, told: Acknowledgements, request: Request) -> tuple[str, str] | None:
    """The decision and the answer's own id, if there is a whole answer."""
    async with http.stream("POST", request.path, json=request.body) as answer:
        decision = answer.headers.get("x-bandit-decision")
        if decision is not None:
            fallbacks = int(answer.headers["x-bandit-fallbacks"])
            said = {"id": decision, "arm": answer.headers["x-bandit-arm"], "fallbacks": fallbacks}
            told.note("decision", said, request.marker)
        content = await answer.aread()
    if decision is None:
        told.note("refused", answer.status_code, content.decode(errors="replace")[:200])
        await asyncio.sleep(_PAUSE_S)
    elif answer.status_code == 200 and not _ERROR.search(content):
        found = _ANSWER_ID.search(content)
        assert found is not None, content
        told.note("answered", decision, found[1].decode())
        return decision, found[1].decode()
    return None


async def _rate(http: httpx.AsyncClient, told: Acknowledgements, decision: str, answer: str) -> None:
    """Say how good an answer was, by its own id. A killed worker may never have accounted it."""
    body = {"decision_id": answer, "metrics": {"quality": quality(decision, 1)}}
    said = await http.post("/v1/feedback", json=body)
    if said.status_code == 200:
        told.note("feedback", said.json()["decision_id"], 1)
    else:
        told.note("refused", said.status_code, said.text[:200])
