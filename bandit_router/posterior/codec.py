"""Codec: the binary form of sufficient statistics and latencies, versioned and checksummed, without pickle.

    magic | u16 format | u32 header length | header | arrays | SHA-256 of all before it

Little-endian throughout. The header is JSON with sorted keys; the arrays are float64. Statistics (magic
"BRPS") have prior means (K, d), prior precisions (K, d), m (K, d), then the lower triangle of S, row by row,
for each arm (K, d(d+1)/2), then Σ w r² (K,), then of T tasks Σ w r (K, T) and Σ w x (K, T d); after a warm
start its m, triangles, Σ w r² and Σ w (K,), and the same of its tasks. Their format 1 had neither Σ w r² nor
a hyperprior, format 2 no warm start, format 3 no tasks; all are still read. Latencies (magic "BRLS") have
their bins (K, B). Equal statistics have equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from bandit_router.errors import SnapshotCorrupt
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.latency import BINS, Latencies
from bandit_router.posterior.regression_sums import RegressionSums
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.posterior.warm_start import WarmStart
from bandit_router.types import FloatArray

MAGIC = b"BRPS"
FORMAT = 4
_READABLE = (1, 2, 3, 4)
_LATENCIES = b"BRLS"
_LATENCIES_FORMAT = 1
_PREFIX = struct.Struct("<4sHI")
_DIGEST_BYTES = hashlib.sha256().digest_size

Header = dict[str, Any]
"""The header of a blob, as JSON can have it."""
_T = TypeVar("_T")


def encode_statistics(statistics: SufficientStatistics) -> bytes:
    """Serialise the sums and the prior."""
    header = {
        "arms": statistics.arms,
        "as_of": statistics.as_of if math.isfinite(statistics.as_of) else None,
        "count": statistics.count.tolist(),
        "dim": statistics.dim,
        "half_life_s": statistics.half_life_s,
        "hyperprior": statistics.hyperprior and asdict(statistics.hyperprior),
        "noise_variance": statistics.noise_variance,
        "schema_id": statistics.schema_id,
        "tasks": statistics.tasks,
        "warm": statistics.warm and _describe_warm_start(statistics.warm),
    }
    arrays: list[FloatArray] = [
        statistics.prior_mean,
        statistics.prior_precision,
        statistics.cross,
        _pack_triangles(statistics.second),
        statistics.square,
        statistics.task_cross,
        statistics.task_context,
    ]
    if statistics.warm is not None:
        second, cross, square, *others = statistics.warm.sums
        arrays += [cross, _pack_triangles(second), square, *others]
    return write_blob(MAGIC, FORMAT, header, arrays)


def _describe_warm_start(warm: WarmStart) -> Header:
    return {"weight": warm.weight, "since": warm.since, "tasks": warm.sums.task_cross.shape[1]}


def decode_statistics(blob: bytes | memoryview) -> SufficientStatistics:
    """The statistics that :func:`encode_statistics` was given. Raises SnapshotCorrupt."""
    return read_blob(blob, MAGIC, _READABLE, _assemble_statistics)


def encode_latencies(latencies: Latencies) -> bytes:
    """Serialise latencies."""
    header = {
        "arms": latencies.arms,
        "as_of": latencies.as_of if math.isfinite(latencies.as_of) else None,
        "count": latencies.count.tolist(),
        "half_life_s": latencies.half_life_s,
    }
    return write_blob(_LATENCIES, _LATENCIES_FORMAT, header, [latencies.bins])


def decode_latencies(blob: bytes | memoryview) -> Latencies:
    """The latencies that :func:`encode_latencies` was given. Raises SnapshotCorrupt."""
    return read_blob(blob, _LATENCIES, (_LATENCIES_FORMAT,), _assemble_latencies)


def encode_component(component: SufficientStatistics | Latencies) -> bytes:
    """Serialise statistics or latencies."""
    return encode_latencies(component) if isinstance(component, Latencies) else encode_statistics(component)


def decode_component(blob: bytes | memoryview) -> SufficientStatistics | Latencies:
    """The statistics or the latencies that were encoded. Raises SnapshotCorrupt."""
    return decode_latencies(blob) if blob[: len(_LATENCIES)] == _LATENCIES else decode_statistics(blob)


def write_blob(magic: bytes, version: int, header: Header, arrays: Sequence[FloatArray]) -> bytes:
    """A blob with this header and these arrays, and its checksum."""
    text = json.dumps(header, sort_keys=True).encode()
    digest = hashlib.sha256()
    parts: list[bytes | memoryview] = [_PREFIX.pack(magic, version, len(text)), text]
    parts += [np.ascontiguousarray(array, dtype="<f8").reshape(-1).data for array in arrays]
    for part in parts:
        digest.update(part)
    return b"".join([*parts, digest.digest()])


def read_blob(
    blob: bytes | memoryview,
    expected: bytes,
    readable: tuple[int, ...],
    assemble: Callable[[int, Header, FloatArray], _T],
) -> _T:
    """What ``assemble`` makes of a blob's format, header and numbers. Raises SnapshotCorrupt."""
    view = memoryview(blob)  # copies nothing: there may be hundreds of megabytes
    content, digest = view[:-_DIGEST_BYTES], view[-_DIGEST_BYTES:]
    if len(content) < _PREFIX.size or hashlib.sha256(content).digest() != digest:
        raise SnapshotCorrupt("the snapshot fails its checksum; run `bandit-router rebuild`")
    magic, version, header_length = _PREFIX.unpack_from(content)
    if magic != expected or version not in readable:
        raise SnapshotCorrupt(
            f"the snapshot has format {magic!r} {version}, this package reads {expected!r} {readable}; "
            "run `bandit-router rebuild`"
        )
    try:
        header: Header = json.loads(bytes(content[_PREFIX.size : _PREFIX.size + header_length]))
        numbers = np.frombuffer(content, "<f8", offset=_PREFIX.size + header_length)
        return assemble(version, header, numbers)
    except (KeyError, TypeError, ValueError) as error:  # a faulty writer; chance cannot get past the digest
        raise SnapshotCorrupt(f"the snapshot is malformed: {error!r}; run `bandit-router rebuild`") from error


def _pack_triangles(second: FloatArray) -> FloatArray:
    """The lower triangles of symmetric matrices (K, d, d), (K, d(d+1)/2)."""
    k, d = second.shape[:2]
    rows, columns = np.tril_indices(d)
    triangles: FloatArray = second.reshape(k, d * d).take(rows * d + columns, axis=1)
    return triangles


def _unpack_triangles(triangles: FloatArray, dim: int) -> FloatArray:
    rows, columns = np.tril_indices(dim)
    positions = np.zeros((dim, dim), dtype=np.intp)
    positions[rows, columns] = positions[columns, rows] = np.arange(rows.size)
    second = np.empty((len(triangles), dim, dim))
    for matrix, triangle in zip(second, triangles, strict=True):
        triangle.take(positions, out=matrix, mode="clip")  # "raise" would copy what it writes
    return second


@dataclass(frozen=True, slots=True)
class _Stored:
    """An array as it is stored: its shape, and whether as the lower triangles of symmetric matrices."""

    shape: tuple[int, ...]
    triangles: bool = False

    @property
    def size(self) -> int:
        """How many numbers are stored."""
        return (
            math.prod((*self.shape[:-1], self.shape[-1] + 1)) // 2
            if self.triangles
            else math.prod(self.shape)
        )

    def unpack(self, numbers: FloatArray) -> FloatArray:
        """An array of its own, from the stored numbers."""
        if not self.triangles:
            return numbers.reshape(self.shape).copy()
        k, d, _ = self.shape
        return _unpack_triangles(numbers.reshape(k, d * (d + 1) // 2), d)


def _assemble_statistics(version: int, header: Header, numbers: FloatArray) -> SufficientStatistics:
    k, d, tasks = len(header["arms"]), header["dim"], header.get("tasks", 0)
    vectors, matrices, scalars = _Stored((k, d)), _Stored((k, d, d), triangles=True), _Stored((k,))
    stored = [vectors, vectors, vectors, matrices]
    if version > 1:
        stored += [scalars, _Stored((k, tasks)), _Stored((k, tasks, d))]
    hyperprior, warm = header.get("hyperprior"), header.get("warm")
    if warm:
        of_warm = warm.pop("tasks", 0)
        stored += [vectors, matrices, scalars, scalars, _Stored((k, of_warm)), _Stored((k, of_warm, d))]
    parts = np.split(numbers, np.cumsum([each.size for each in stored]))
    if parts.pop().size:
        raise ValueError("there are more numbers than the header accounts for")
    read = [each.unpack(part) for each, part in zip(stored, parts, strict=True)]
    prior_mean, prior_precision, cross, second, *more = read
    square, task_cross, task_context, *of_warm_start = more or _blank_sums(k, d)
    return SufficientStatistics(
        arms=tuple(header["arms"]),
        schema_id=header["schema_id"],
        noise_variance=header["noise_variance"],
        prior_mean=prior_mean,
        prior_precision=prior_precision,
        second=second,
        cross=cross,
        square=square,
        task_cross=task_cross,
        task_context=task_context,
        count=np.array(header["count"], dtype=np.int64).reshape(k),
        hyperprior=None if hyperprior is None else Hyperprior(**hyperprior),
        half_life_s=header["half_life_s"],
        as_of=_read_as_of(header),
        warm=None if not warm else _assemble_warm_start(of_warm_start, **warm),
    )


def _blank_sums(k: int, d: int) -> list[FloatArray]:
    """What format 1 had no sums of: Σ w r², and those of tasks."""
    return [np.zeros(k), np.zeros((k, 0)), np.zeros((k, 0, d))]


def _assemble_warm_start(parts: list[FloatArray], weight: float, since: float) -> WarmStart:
    cross, second, *others = parts
    return WarmStart(RegressionSums(second, cross, *others), weight, since)


def _assemble_latencies(_version: int, header: Header, numbers: FloatArray) -> Latencies:
    k = len(header["arms"])
    return Latencies(
        arms=tuple(header["arms"]),
        bins=numbers.reshape(k, BINS).copy(),
        count=np.array(header["count"], dtype=np.int64).reshape(k),
        half_life_s=header["half_life_s"],
        as_of=_read_as_of(header),
    )


def _read_as_of(header: Header) -> float:
    return -math.inf if header["as_of"] is None else header["as_of"]
