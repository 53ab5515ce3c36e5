"""The servers of ``benchmarks/gateway.py``: a model of 20 ms, a raw relay to it, LiteLLM's proxy, and ours.

python -m benchmarks.gateway_servers upstream --port 9000
python -m benchmarks.gateway_servers relay http://127.0.0.1:9000 --port 9001
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from bandit_router.settings import CONFIG_VARIABLE
from benchmarks.http import two_arm_settings

PATH = "/v1/chat/completions"
FIRST_TOKEN_S = 0.020
GAP_S = 0.001
CHUNKS = 400
"""Of a stream whose request says ``"max_tokens": 400``; any other has a few."""

_FEW = 4
_WORD = " token"
_USAGE = {"prompt_tokens": 70, "completion_tokens": 40, "total_tokens": 110}
_LITELLM = "litellm[proxy]==1.108.7"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


# -- the model --------------------------------------------------------------------------------------


async def answer_as_model(scope: Message, receive: Receive, send: Send) -> None:
    """A chat completion after 20 ms, or a stream whose first token comes then."""
    if scope["type"] != "http":
        return
    if scope["path"] != PATH:
        await _send_whole(send, b'"ready"')
        return
    request = json.loads(await _read_body(receive))
    await asyncio.sleep(FIRST_TOKEN_S)
    if not request.get("stream"):
        await _send_whole(send, json.dumps(_make_answer("chat.completion", message=_say(40))).encode())
        return
    await _start(send, [(b"content-type", b"text/event-stream")])
    chunks = CHUNKS if request.get("max_tokens") == CHUNKS else _FEW
    for _ in range(chunks):
        await _send_event(send, _make_answer("chat.completion.chunk", delta=_say(1)))
        if chunks == CHUNKS:
            await asyncio.sleep(GAP_S)
    await _send_event(send, _make_answer("chat.completion.chunk", delta={}, finish="stop"))
    await _send_event(send, {**_make_answer("chat.completion.chunk"), "choices": []})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _say(words: int) -> dict[str, str]:
    return {"role": "assistant", "content": _WORD * words}


def _make_answer(kind: str, finish: str | None = None, **said: Any) -> dict[str, Any]:
    is_whole = kind == "chat.completion"
    return {
        "id": "chatcmpl-benchmark",
        "object": kind,
        "created": 1_700_000_000,
        "model": "up",
        "choices": [{"index": 0, "finish_reason": "stop" if is_whole else finish, **said}],
        "usage": _USAGE if is_whole or not said else None,
    }


async def _send_event(send: Send, event: dict[str, Any]) -> None:
    body = b"data: " + json.dumps(event).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


# -- the relay --------------------------------------------------------------------------------------


def make_relay(upstream: str) -> App:
    """The least that passes an answer on: no choice, no log, nothing read on the side."""
    client = httpx2.AsyncClient(timeout=60.0)

    async def relay(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] != PATH:
            await _send_whole(send, b'"ready"')
            return
        body = await _read_body(receive)
        headers = {"content-type": "application/json"}
        async with client.stream("POST", upstream + PATH, content=body, headers=headers) as answer:
            await _start(send, [(b"content-type", answer.headers["content-type"].encode())])
            async for piece in answer.aiter_bytes():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return relay


async def _read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _send_whole(send: Send, body: bytes) -> None:
    length = str(len(body)).encode()
    await _start(send, [(b"content-type", b"application/json"), (b"content-length", length)])
    await send({"type": "http.response.body", "body": body})


async def _start(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})


# -- settings of ours and of LiteLLM ------------------------------------------------------------------


def write_our_settings(folder: Path, upstream: str) -> dict[str, str]:
    """What `init` writes, with two arms that are called at ``upstream``; the environment to serve it with."""
    called = f"""
base_url = "{upstream}/v1"
allow_private = true
input_usd_per_mtok = 0.15
output_usd_per_mtok = 0.6
capabilities ="""
    config = folder / "router.toml"
    config.write_text(two_arm_settings().replace("\ncapabilities =", called), encoding="utf-8")
    return {CONFIG_VARIABLE: str(config), "BANDIT_ROUTER_STORE__URL": f"sqlite:///{folder}/router.db"}


def write_litellm_settings(folder: Path, upstream: str) -> Path:
    """Two deployments of one model group, no database, no key."""
    called = {"api_base": f"{upstream}/v1", "api_key": "unused"}
    models = [
        {"model_name": "auto", "litellm_params": {"model": f"openai/{name}", **called}}
        for name in ("small", "large")
    ]
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({"model_list": models}), encoding="utf-8")  # such JSON is YAML, too
    return config


LITELLM_ENVIRONMENT = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}
"""No log of requests, no look-up over the network, no key: ours has none of them either."""


def install_litellm(folder: Path) -> Path:
    """LiteLLM's proxy in a virtual environment of its own, made unless it is there; its command."""
    command = folder / "bin" / "litellm"
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", _LITELLM], check=True)
    return command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=["upstream", "relay"])
    parser.add_argument("upstream", nargs="?")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app = answer_as_model if options.server == "upstream" else make_relay(options.upstream)
    uvicorn.run(app, port=options.port, log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
