"""Deltas: what one transaction adds to roll-ups, one row each, until a learner folds it.

A row that every writer changed would have them wait for each other; rows that are only inserted do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import uuid_utils
from sqlalchemy import Connection, delete, insert, select

from bandit_router.store.rollups.sums import Bins, Sums, join_sum, split_sum
from bandit_router.store.rollups.tally import Slice, Tally
from bandit_router.store.tables import rollup_deltas

_INSERT = insert(rollup_deltas)


def insert_delta(connection: Connection, router: str, tally: Tally) -> None:
    """Insert what a transaction adds, if it adds anything."""
    slices = _encode_tally(tally)
    if slices:
        connection.execute(_INSERT, {"router": router, "id": uuid_utils.uuid7().hex, "slices": slices})


def read_deltas(connection: Connection, router: str, most: int | None = None) -> dict[str, Tally]:
    """The oldest deltas that are not folded, ``most`` of them or all, by id."""
    columns = select(rollup_deltas.c.id, rollup_deltas.c.slices)
    oldest = columns.where(rollup_deltas.c.router == router).order_by(rollup_deltas.c.id).limit(most)
    return {row.id: _decode_tally(row.slices) for row in connection.execute(oldest)}


def delete_deltas(connection: Connection, router: str, ids: Sequence[str]) -> None:
    """Delete deltas, once they are folded."""
    mine = rollup_deltas.c.router == router, rollup_deltas.c.id.in_(ids)
    connection.execute(delete(rollup_deltas).where(*mine))


def _encode_tally(tally: Tally) -> list[list[Any]]:
    """The tally as JSON: a list for each slice, which ends in its sums by measure."""
    encoded = []
    for where, by_measure in tally.sums.items():
        sums = {measure: _encode_sums(sums) for measure, sums in by_measure.items() if sums}
        if sums:
            encoded.append([*where, sums])
    return encoded


def _decode_tally(encoded: list[list[Any]]) -> Tally:
    tally = Tally()
    for *where, by_measure in encoded:
        tally.sums[Slice(*where)].update(
            (measure, _decode_sums(sums)) for measure, sums in by_measure.items()
        )
    return tally


def _encode_sums(sums: Sums) -> list[Any]:
    """Count, sum and squares, each integer of at most 64 bits, and the bins where there are any."""
    encoded: list[Any] = [sums.count, *split_sum(sums.total), *split_sum(sums.squares)]
    if sums.bins or sums.delays:
        encoded += [_encode_bins(sums.bins), _encode_bins(sums.delays)]
    return encoded


def _decode_sums(encoded: list[Any]) -> Sums:
    count, total_high, total_low, squares_high, squares_low, *binned = encoded
    total, squares = join_sum(total_high, total_low), join_sum(squares_high, squares_low)
    return Sums(count, total, squares, *map(_decode_bins, binned))


def _encode_bins(bins: Bins) -> list[tuple[int, int]]:
    return list(bins.items())


def _decode_bins(pairs: list[list[int]]) -> Bins:
    return {i: n for i, n in pairs}  # noqa: C416
