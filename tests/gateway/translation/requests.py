"""Chat requests that the translator takes, and what a request says in either form."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
).filter(str.strip)
_NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('é"\\\n', max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3)
_URLS = st.builds(
    lambda kind, data: f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
    st.sampled_from(["jpeg", "png", "gif", "webp"]),
    st.binary(min_size=1, max_size=20),
) | st.just("https://example.org/cat.png")

_TEXT_PARTS = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
_IMAGES = st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, _URLS)
_TEXT_CONTENTS = TEXTS | st.lists(_TEXT_PARTS, min_size=1, max_size=2)
_CONTENTS = TEXTS | st.lists(_TEXT_PARTS | _IMAGES, min_size=1, max_size=3)


def _message(role: str, content: Any, **rest: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **rest}


@st.composite
def write_chats(draw: st.DrawFn) -> dict[str, Any]:
    """The arguments of ``chat.completions.create``, but for ``model`` and ``stream``."""
    names = draw(st.lists(_NAMES, unique=True, max_size=2))
    request: dict[str, Any] = {"messages": draw(_write_conversations(names))}
    if names:
        request["tools"] = [draw(_write_tools(name)) for name in names]
        one = {"type": "function", "function": {"name": names[0]}}
        request |= _draw_some(
            draw,
            tool_choice=st.sampled_from(["auto", "none", "required", one]),
            parallel_tool_calls=st.booleans(),
        )
    return request | _draw_some(
        draw,
        max_completion_tokens=st.integers(1, 1000),
        temperature=st.sampled_from([None, 1, 1.0]),
        top_p=st.sampled_from([1, 1.0]),
        n=st.just(1),
        store=st.just(False),
        stop=TEXTS | st.lists(TEXTS, max_size=4),
        user=TEXTS,
        metadata=st.just({"x-bandit-tier": "free"}),
        response_format=st.just({"type": "text"}),
    )


@st.composite
def _write_conversations(draw: st.DrawFn, names: list[str]) -> list[dict[str, Any]]:
    roles = draw(st.lists(st.sampled_from(["system", "developer"]), max_size=2))
    messages = [_message(role, draw(_TEXT_CONTENTS)) for role in roles]
    messages.append(_message("user", draw(_CONTENTS)))
    calls = 0
    for kind in draw(st.lists(st.sampled_from(["user", "assistant", "calls"]), max_size=4)):
        if kind == "user":
            messages.append(_message("user", draw(_CONTENTS)))
        elif kind == "assistant" or not names:
            messages += [_message("assistant", draw(_TEXT_CONTENTS)), _message("user", draw(_CONTENTS))]
        else:
            ids = [f"call_{calls + i}" for i in range(draw(st.integers(1, 3)))]
            calls += len(ids)
            messages += draw(_write_calls(ids, names))
    return messages


@st.composite
def _write_calls(draw: st.DrawFn, ids: list[str], names: list[str]) -> list[dict[str, Any]]:
    calls = [
        {
            "id": call_id,
            "type": "function",
            "function": {
                "name": draw(st.sampled_from(names)),
                "arguments": json.dumps(draw(OBJECTS), indent=draw(st.sampled_from([None, 1]))),
            },
        }
        for call_id in ids
    ]
    content = draw(st.none() | st.just("") | _TEXT_CONTENTS)
    results = [
        _message("tool", draw(st.just("") | _TEXT_CONTENTS), tool_call_id=call_id)
        for call_id in draw(st.permutations(ids))
    ]
    return [_message("assistant", content, tool_calls=calls, refusal=None), *results]


@st.composite
def _write_tools(draw: st.DrawFn, name: str) -> dict[str, Any]:
    schemas = st.builds(lambda properties: {"type": "object", "properties": properties}, OBJECTS)
    function = {"name": name} | _draw_some(
        draw, description=TEXTS, parameters=schemas, strict=st.sampled_from([None, False])
    )
    return {"type": "function", "function": function}


def _draw_some(draw: st.DrawFn, **fields: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {name: draw(values) for name, values in fields.items() if draw(st.booleans())}


def read_chat(request: dict[str, Any]) -> list[Any]:
    """What a chat request says: its turns one part after the other, then its tools and its options."""
    said: list[Any] = []
    for message in request["messages"]:
        role, content = message["role"], message.get("content")
        parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        texts = [part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in parts]
        if role == "tool":
            said.append(("result", message["tool_call_id"], [text for text in texts if text]))
            continue
        said += [("system" if role == "developer" else role, text) for text in texts if text]
        for call in message.get("tool_calls") or []:
            function = call["function"]
            said.append(("call", call["id"], function["name"], json.loads(function["arguments"])))
    tools = [tool["function"] for tool in request.get("tools") or []]
    said += [
        (
            tool["name"],
            tool.get("description"),
            tool.get("parameters") or {"type": "object", "properties": {}},
        )
        for tool in tools
    ]
    choice = request.get("tool_choice") or "auto"
    stop = request.get("stop") or []
    return [
        *said,
        (choice if isinstance(choice, str) else choice["function"]["name"]) if tools else None,
        bool(tools) and choice != "none" and request.get("parallel_tool_calls") is False,
        [stop] if isinstance(stop, str) else stop,
        request.get("max_completion_tokens"),
        request.get("user"),
    ]


def read_messages(body: dict[str, Any], default_max_tokens: int) -> list[Any]:
    """The same of a request for a message."""
    said: list[Any] = [("system", block["text"]) for block in body.get("system", [])]
    for turn in body["messages"]:
        said += [_read_block(turn["role"], block) for block in turn["content"]]
    tools = body.get("tools", [])
    said += [(tool["name"], tool.get("description"), tool["input_schema"]) for tool in tools]
    choice = body.get("tool_choice", {})
    words = {"any": "required", "tool": choice.get("name"), "auto": "auto", "none": "none", None: None}
    most = body["max_tokens"]
    return [
        *said,
        words[choice.get("type")],
        choice.get("disable_parallel_tool_use", False),
        body.get("stop_sequences", []),
        None if most == default_max_tokens else most,
        body.get("metadata", {}).get("user_id"),
    ]


def _read_block(role: str, block: dict[str, Any]) -> tuple[Any, ...]:
    match block["type"]:
        case "text":
            return role, block["text"]
        case "image":
            source = block["source"]
            data = f"data:{source.get('media_type')};base64,{source.get('data')}"
            return role, source["url"] if source["type"] == "url" else data
        case "tool_use":
            return "call", block["id"], block["name"], block["input"]
        case "tool_result":
            return "result", block["tool_use_id"], [text["text"] for text in block.get("content", [])]
    raise AssertionError(block)
