"""The binary form of a posterior: fixed, versioned, checksummed, no pickle.

    magic "BRPS" | u16 format | u32 header length | header | arrays | SHA-256 of all before it

Little-endian throughout. The header is JSON with sorted keys; the arrays are float64: prior means
(K, d), prior precisions (K, d), m (K, d), then the lower triangle of S, row by row, for each arm
(K, d(d+1)/2), then Σ w r² (K,). Equal posteriors have equal bytes. Format 1 had neither the last of these
nor a hyperprior, and is still read.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from dataclasses import asdict
from typing import Any

import numpy as np

from bandit_router.errors import SnapshotCorrupt
from bandit_router.hierarchy import Hyperprior
from bandit_router.posterior import Posterior

MAGIC = b"BRPS"
FORMAT = 2
_READABLE = (1, 2)
_PREFIX = struct.Struct("<4sHI")
_DIGEST_BYTES = hashlib.sha256().digest_size


def encode(posterior: Posterior) -> bytes:
    """Serialise the statistics and the prior; what is derived from them is left out."""
    header = json.dumps(
        {
            "arms": posterior.arms,
            "as_of": posterior.as_of if math.isfinite(posterior.as_of) else None,
            "count": posterior.count.tolist(),
            "dim": posterior.dim,
            "half_life_s": posterior.half_life_s,
            "hyperprior": posterior.hyperprior and asdict(posterior.hyperprior),
            "noise_variance": posterior.noise_variance,
            "schema_id": posterior.schema_id,
        },
        sort_keys=True,
    ).encode()
    lower = np.tril_indices(posterior.dim)
    arrays = (
        posterior.prior_mean,
        posterior.prior_precision,
        posterior.cross,
        posterior.second[:, lower[0], lower[1]],
        posterior.square,
    )
    body = b"".join(np.ascontiguousarray(a, dtype="<f8").tobytes() for a in arrays)
    content = _PREFIX.pack(MAGIC, FORMAT, len(header)) + header + body
    return content + hashlib.sha256(content).digest()


def decode(blob: bytes) -> Posterior:
    """The posterior that :func:`encode` was given. Raises SnapshotCorrupt when it cannot be."""
    content, digest = blob[:-_DIGEST_BYTES], blob[-_DIGEST_BYTES:]
    if len(content) < _PREFIX.size or hashlib.sha256(content).digest() != digest:
        raise SnapshotCorrupt("the snapshot fails its checksum; run `bandit-router rebuild`")
    magic, version, header_length = _PREFIX.unpack_from(content)
    if magic != MAGIC or version not in _READABLE:
        raise SnapshotCorrupt(
            f"the snapshot has format {magic!r} {version}, this package reads {MAGIC!r} {_READABLE}; "
            "run `bandit-router rebuild`"
        )
    try:
        header: dict[str, Any] = json.loads(content[_PREFIX.size : _PREFIX.size + header_length])
        return _assemble(header, np.frombuffer(content, "<f8", offset=_PREFIX.size + header_length))
    except (KeyError, TypeError, ValueError) as error:  # a faulty writer; chance cannot get past the digest
        raise SnapshotCorrupt(f"the snapshot is malformed: {error!r}; run `bandit-router rebuild`") from error


def _assemble(header: dict[str, Any], numbers: np.ndarray[Any, np.dtype[np.float64]]) -> Posterior:
    k, d = len(header["arms"]), header["dim"]
    sizes = [k * d, k * d, k * d, k * d * (d + 1) // 2]
    prior_mean, prior_precision, cross, triangle, square = np.split(numbers, np.cumsum(sizes))
    hyperprior = header.get("hyperprior")
    second = np.zeros((k, d, d))
    rows, columns = np.tril_indices(d)
    second[:, rows, columns] = second[:, columns, rows] = triangle.reshape(k, len(rows))
    return Posterior(
        arms=tuple(header["arms"]),
        schema_id=header["schema_id"],
        noise_variance=header["noise_variance"],
        prior_mean=prior_mean.reshape(k, d).copy(),
        prior_precision=prior_precision.reshape(k, d).copy(),
        second=second,
        cross=cross.reshape(k, d).copy(),
        square=square.reshape(k).copy() if square.size else np.zeros(k),
        count=np.array(header["count"], dtype=np.int64).reshape(k),
        hyperprior=None if hyperprior is None else Hyperprior(**hyperprior),
        half_life_s=header["half_life_s"],
        as_of=-math.inf if header["as_of"] is None else header["as_of"],
    )
