"""What every dialect promises. Each check raises AssertionError when its promise is not kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput
from bandit_router.gateway.dialects import MAX_BYTES, MAX_DEPTH, Dialect, DialectRequest, Tap
from tests.gateway.dialects.examples import REQUESTS, Example

KINDS = ("text", "streamed text", "streamed reasoning", "streamed tool call", "streamed error")
"""Examples that every dialect has."""

_SPACE = st.text(" \t\r\n", max_size=3)
_NAMES = st.one_of(st.sampled_from(["model", '"model":', "model\\", "Model", ""]), st.text(max_size=5))
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _NAMES
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=3)),
    max_leaves=6,
)
_ESCAPES = {
    "model": ['"model"', '"\\u006dodel"', '"mod\\u0065l"'],
    "auto": ['"auto"', '"\\u0061uto"'],
}


@dataclass(frozen=True)
class Written:
    """A request as a client may write it: the bytes before the value of ``model``, and those after."""

    before: bytes
    model: bytes
    after: bytes

    @property
    def raw(self) -> bytes:
        return self.before + self.model + self.after


@st.composite
def write_requests(draw: st.DrawFn, dialect: str) -> Written:
    """A request with fields nobody knows, in any order, with white space and escapes anywhere."""
    extra = draw(st.dictionaries(_NAMES.map(lambda name: f"x{name}"), _VALUES, max_size=4))
    members = draw(st.permutations(list({**REQUESTS[dialect], **extra}.items())))
    pieces: list[list[str]] = [["{"]]
    model = ""
    for i, (key, value) in enumerate(members):
        text = _write_json(draw, value)
        pieces[-1] += [
            "," if i else "",
            draw(_SPACE),
            _write_json(draw, key),
            draw(_SPACE),
            ":",
            draw(_SPACE),
        ]
        if key == "model":
            model = text
            pieces.append([])
        else:
            pieces[-1].append(text)
        pieces[-1].append(draw(_SPACE))
    before, after = ("".join(piece).encode("utf-8", "replace") for piece in pieces)
    return Written(before, model.encode(), after + b"}")


def _write_json(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, str) and value in _ESCAPES:
        return draw(st.sampled_from(_ESCAPES[value]))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    escaped = json.dumps(value, ensure_ascii=draw(st.booleans()), separators=separators)
    return escaped.encode("utf-8", "replace").decode()


def check_only_model_changes(dialect: Dialect, written: Written, model: str) -> None:
    """A request that is not a stream goes upstream as it came, but for the value of ``model``."""
    request = dialect.read_request(written.raw)
    sent = dialect.write_request(written.raw, request, model)
    assert request.model == "auto"
    assert sent.startswith(written.before)
    assert sent.endswith(written.after)
    assert json.loads(sent[len(written.before) : len(sent) - len(written.after)]) == model


def check_refusals(dialect: Dialect) -> None:
    """What is no JSON object, is nested or large beyond the limits, or names no model, is refused by name."""
    least = json.dumps(REQUESTS[dialect.name])[:-1]
    faults = {
        b"": "body",
        b"[]": "body",
        b'{"model"': "body",
        f'{least}, "model": "again"}}'.encode(): "body",
        f'{least}, "x": {{"a": 1, "\\u0061": 2}}}}'.encode(): "body",
        f'{least}, "x": NaN}}'.encode(): "body",
        f'{least}, "x": "\udcff"}}'.encode("utf-8", "surrogateescape"): "body",
        f'{least}, "x": "\\ud800"}}'.encode(): "body",
        f'{least}, "x": {nest(MAX_DEPTH)}}}'.encode(): "body",
        f'{least}, "x": "{"a" * MAX_BYTES}"}}'.encode(): "body",
        least.replace('"auto"', "5").encode() + b"}": "model",
        least.replace('"auto"', '""').encode() + b"}": "model",
        least.replace('"model"', '"Model"').encode() + b"}": "model",
    }
    for raw, field in faults.items():
        with pytest.raises(InvalidInput) as caught:
            dialect.read_request(raw)
        assert caught.value.field == field, raw[:200]
    assert dialect.read_request(f'{least}, "x": {nest(MAX_DEPTH - 1)}}}'.encode()).model == "auto"


def nest(depth: int) -> str:
    return "[" * depth + "]" * depth


def open_tap(dialect: Dialect, example: Example) -> Tap:
    return dialect.open_tap(read_example(dialect, example))


def read_example(dialect: Dialect, example: Example) -> DialectRequest:
    request = {**REQUESTS[dialect.name], "stream": example.stream, **(example.request or {})}
    return dialect.read_request(json.dumps(request).encode())


def check_answer(dialect: Dialect, example: Example, cuts: Sequence[int]) -> None:
    """An answer passes byte for byte, and says the same, wherever its chunks end."""
    tap = open_tap(dialect, example)
    ends = [0, *sorted(cut % (len(example.answer) + 1) for cut in cuts), len(example.answer)]
    passed = [tap.feed(example.answer[start:end]) for start, end in pairwise(ends)]
    passed.append(tap.finish())
    assert b"".join(passed) == example.answer
    assert tap.facts == example.facts


def check_beginning(dialect: Dialect, example: Example) -> None:
    """A stream begins with its first content, and an answer in one piece when all of it is there."""
    tap = open_tap(dialect, example)
    if not example.stream:
        tap.feed(example.answer)
        assert not tap.facts.began
        tap.finish()
        assert tap.facts.began
        return
    events = list_events(example.answer)
    for event in events[: example.prelude]:
        tap.feed(event)
        assert not tap.facts.began, event
    tap.feed(events[example.prelude])
    assert tap.facts.began


def check_cut(dialect: Dialect, example: Example, end: int) -> None:
    """A stream cut anywhere is not complete, and its error event is the last of whole events."""
    tap = open_tap(dialect, example)
    begun = example.answer[: end % len(example.answer)]
    passed = tap.feed(begun)
    assert begun.startswith(passed)
    tail = tap.finish()
    if tap.facts.complete:  # the end mark has come, if not the line after it
        assert passed + tail == begun
        return
    assert tap.facts.error is None or example.facts.error  # else no error event would follow
    *events, error = list_events(passed + dialect.error_event("cut"))
    for event in events:
        assert read_event(event) is not None
    assert "cut" in json.dumps(read_event(error))


def check_errors(dialect: Dialect) -> None:
    """The text of an error reaches the client whatever is in it, in a body and in one event."""
    text = 'a "text"\nof\r\nlines: 東京'
    for status in (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529):
        error = json.loads(dialect.error_body(status, text, "a_code"))["error"]
        assert error["message"] == text
        assert error["code"] == "a_code"
        assert isinstance(error["type"], str)
    [event] = list_events(dialect.error_event(text))
    read = read_event(event)
    assert isinstance(read, dict)
    assert read["error"]["message"] == text


def check_error_is_noted(dialect: Dialect) -> None:
    """A tap takes the error event of its own dialect for one."""
    request = dialect.read_request(json.dumps({**REQUESTS[dialect.name], "stream": True}).encode())
    tap = dialect.open_tap(request)
    tap.feed(dialect.error_event("sk-secret"))
    assert tap.facts.error
    assert "secret" not in tap.facts.error
    assert not tap.facts.complete


def check_garbage(dialect: Dialect, garbage: bytes) -> None:
    """Whatever upstream sends passes, raises nothing, and completes nothing."""
    for stream in (True, False):
        request = dialect.read_request(json.dumps({**REQUESTS[dialect.name], "stream": stream}).encode())
        tap = dialect.open_tap(request)
        assert tap.feed(garbage) + tap.finish() == garbage
        if b"[DONE]" not in garbage:  # which chat takes for the end
            assert not (stream and tap.facts.complete)


def check_odd_request(dialect: Dialect, request: dict[str, Any]) -> None:
    """A request with a value of any other type is read, or refused by name."""
    raw = json.dumps(request).encode()
    try:
        read = dialect.read_request(raw)
    except InvalidInput:
        return
    sent = json.loads(dialect.write_request(raw, read, "other"))
    assert sent["model"] == "other"
    assert sent.keys() - {"stream_options"} == request.keys() - {"stream_options"}


def check_odd_answer(dialect: Dialect, example: Example, answer: bytes) -> None:
    """An answer with a value of any other type passes, and raises nothing."""
    tap = open_tap(dialect, example)
    assert tap.feed(answer) + tap.finish() == answer


@st.composite
def change_value(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """The JSON object with one value, anywhere in it, replaced by any other."""
    changed = json.loads(json.dumps(document))
    parent, key = draw(st.sampled_from(list(_list_places(changed))))
    parent[key] = draw(_VALUES)
    return changed  # type: ignore[no-any-return]


def _list_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a value in a document: its object or list, and its key there."""
    if isinstance(value, dict | list):
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _list_places(member)


@st.composite
def change_answer(draw: st.DrawFn, example: Example) -> bytes:
    """The answer with one value in each of its objects replaced."""
    if not example.stream:
        return json.dumps(draw(change_value(json.loads(example.answer)))).encode()
    events = [read_event(event) for event in list_events(example.answer)]
    objects = [draw(change_value(event)) for event in events if isinstance(event, dict)]
    return b"".join(b"data: " + json.dumps(changed).encode() + b"\n\n" for changed in objects)


def check_models(dialect: Dialect) -> None:
    """The list of models names them in order, and may be empty."""
    for names in (["auto", "gpt"], []):
        assert [model["id"] for model in json.loads(dialect.models_body(names))["data"]] == names


def list_events(stream: bytes) -> list[bytes]:
    """The events of a stream whose lines end with LF: an oracle for the splitter."""
    *events, rest = stream.split(b"\n\n")
    assert rest == b""
    return [event + b"\n\n" for event in events]


def read_event(event: bytes) -> Any:
    """The JSON of an event, its text if it is none, as the official clients read it."""
    values = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
    text = b"\n".join(values).decode()
    return json.loads(text) if text and not text.startswith("[DONE]") else text
