"""Events cut out of chunks, checked against an oracle that reads lines one by one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.gateway.dialects.event_stream import EventSplitter, read_data

_PIECES = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"data:", b"data: ", b"event: x", b": ping", "ü🙂".encode(), b"{}"]
)
_STREAMS = st.lists(_PIECES, max_size=30).map(b"".join)


def read_all(stream: bytes) -> list[bytes]:
    """The data of each event that has ended, as the standard says."""
    lines = re.split(rb"\r\n|\n|\r", stream)[:-1]
    events: list[bytes] = []
    values: list[bytes] = []
    for line in lines:
        if not line:
            events += [b"\n".join(values)] if values else []
            values = []
        elif line.startswith(b"data:"):
            values.append(line[5:].removeprefix(b" "))
    return events


@given(stream=_STREAMS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_chunks(stream: bytes, cuts: list[int]) -> None:
    splitter = EventSplitter()
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    events = [
        event
        for start, end in zip(ends, [*ends[1:], len(stream)], strict=True)
        for event in splitter.split(stream[start:end])
    ]
    assert b"".join(events) + splitter.held == stream
    values = [data for event in events if (data := read_data(event))]
    assert values == [data for data in read_all(stream) if data]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), min_size=1
    )
)
def test_line_ends(end: bytes, texts: list[str]) -> None:
    """Each byte alone: an event ends no later than the first byte of the one after it."""
    splitter = EventSplitter()
    stream = b"".join(b"id: 1" + end + b"data: " + text.encode() + end + end for text in texts)
    events = [event for i in range(len(stream)) for event in splitter.split(stream[i : i + 1])]
    assert [read_data(event).decode() for event in events] == texts


def test_other_line_ends_in_one_chunk() -> None:
    events = EventSplitter().split(b"data: a\r\rdata: b\n\n")
    assert [read_data(event) for event in events] == [b"a", b"b"]


def test_several_lines_of_data() -> None:
    assert read_data(b"data: a\ndata:b\ndata:  c\ndata\n\n") == b"a\nb\n c\n"
