"""The binary form of a book of safety: a blob as snapshots are, versioned and checksummed.

The arrays are x (K, d), by_task (K, T) and squares (K,), of the past and then of the recent decisions.
"""

from __future__ import annotations

import numpy as np

from bandit_router.learning.safety import Exposure, SafetyBook
from bandit_router.posterior.codec import Header, read_blob, write_blob
from bandit_router.types import FloatArray

MAGIC = b"BRSB"
FORMAT = 1
_SUMS = ("decisions", "earned", "recent_weight", "recent_earned", "settled")


def encode_book(book: SafetyBook) -> bytes:
    """Serialise a book. Equal books have equal bytes."""
    header = {
        "arms": book.arms,
        "tasks": book.past.by_task.shape[1],
        "costs": [book.past.cost, book.recent.cost],
        **{name: getattr(book, name) for name in _SUMS},
    }
    arrays = [array for sums in (book.past, book.recent) for array in (sums.x, sums.by_task, sums.squares)]
    return write_blob(MAGIC, FORMAT, header, arrays)


def decode_book(blob: bytes) -> SafetyBook:
    """The book that :func:`encode_book` was given. Raises SnapshotCorrupt."""
    return read_blob(blob, MAGIC, (FORMAT,), _assemble_book)


def _assemble_book(_version: int, header: Header, numbers: FloatArray) -> SafetyBook:
    past, recent = (
        _assemble_exposure(header, half, cost)
        for half, cost in zip(np.split(numbers, 2), header["costs"], strict=True)
    )
    sums = {name: header[name] for name in _SUMS}
    return SafetyBook(arms=tuple(header["arms"]), past=past, recent=recent, **sums)


def _assemble_exposure(header: Header, numbers: FloatArray, cost: float) -> Exposure:
    k, tasks = len(header["arms"]), header["tasks"]
    by_arm = numbers[: -k * (tasks + 1)].reshape(k, -1)
    by_task, squares = np.split(numbers[by_arm.size :], [k * tasks])
    return Exposure(by_arm.copy(), by_task.reshape(k, tasks).copy(), squares.copy(), cost)
