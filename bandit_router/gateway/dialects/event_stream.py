"""Server-sent events in bytes: whole events out of chunks that end anywhere, and the data of an event.

An event ends with an empty line; a line ends with LF, CRLF or CR (WHATWG HTML, section 9.2.5).
"""

from __future__ import annotations

import re

_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")


class EventSplitter:
    """Cuts a stream after each event; the events and ``held`` are together the bytes that were fed."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def held(self) -> bytes:
        """The bytes of the event that has not ended."""
        return bytes(self._held)

    def split(self, chunk: bytes) -> list[bytes]:
        """The events that end in this chunk, each with its empty line."""
        first_end = chunk.find(b"\n\n") + 2
        if not self._held and 1 < first_end == len(chunk) and b"\r" not in chunk:
            return [chunk]  # most chunks are one event
        searched = max(0, len(self._held) - len(b"\r\n"))  # of an end, one line end may be held
        self._held += chunk
        events, start = [], 0
        for end in _EVENT_END.finditer(self._held, searched):
            events.append(bytes(self._held[start : end.end()]))
            start = end.end()
        del self._held[:start]
        return events


def read_data(event: bytes) -> bytes:
    """The data of an event, its lines joined by LF; empty if it has none."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    values = []
    for line in event.splitlines():  # of bytes: at LF, CRLF and CR only
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
    return b"\n".join(values)
