"""The token bucket: how many requests of a key are answered, at once and per second."""

from __future__ import annotations

from typing import NamedTuple


class TokenBucket(NamedTuple):
    """Fills with ``per_second`` up to ``most``, and had ``level`` at ``as_of``, seconds that only grow.

    Each request takes one. So over any time t at most ``most + per_second · t`` requests are answered.
    """

    per_second: float
    most: float
    level: float
    as_of: float


def fill_bucket(per_second: float, most: float, now: float) -> TokenBucket:
    """A full bucket."""
    return TokenBucket(per_second, most, most, now)


def take_one(bucket: TokenBucket, now: float) -> tuple[TokenBucket, float]:
    """The bucket after a request at ``now``, and the seconds it has to wait: 0 if it may be answered.

    A request that has to wait takes nothing.
    """
    elapsed_s = max(0.0, now - bucket.as_of)
    level = min(bucket.most, bucket.level + bucket.per_second * elapsed_s)
    if level < 1.0:
        return bucket._replace(level=level, as_of=now), (1.0 - level) / bucket.per_second
    return bucket._replace(level=level - 1.0, as_of=now), 0.0
