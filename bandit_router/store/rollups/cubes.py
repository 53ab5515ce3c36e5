"""The cubes: the table ``rollups``, which learners fold deltas into, and what readers see of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, tuple_, update

from bandit_router.store.engine import INSERT
from bandit_router.store.rollups.deltas import delete_deltas, read_deltas
from bandit_router.store.rollups.sums import Sums, join_sum, pack_bins, split_sum, unpack_bins
from bandit_router.store.rollups.tally import DAY_H, Cell, add_to_cell, merge_cells
from bandit_router.store.tables import rollup_deltas, rollups, routers

_T = TypeVar("_T")

_CHUNK = 2_000  # cells per statement: both databases bound the number of parameters
_KEY = tuple(rollups.c[name] for name in Cell._fields)
_VALUES = [column.name for column in rollups.c if column.name not in ("router", *Cell._fields)]

_UPSERT = {
    name: (statement := into(rollups)).on_conflict_do_update(
        index_elements=["router", *Cell._fields],
        set_={value: statement.excluded[value] for value in _VALUES},
    )
    for name, into in INSERT.items()
}


class RollupState(NamedTuple):
    """How a router's roll-ups stand. ``made_at``, Unix time, is None until they are made from the log.

    ``revision`` grows whenever they are corrected by it. ``is_behind`` says that there is a delta to fold.
    """

    made_at: float | None
    revision: int
    is_behind: bool


def read_state(connection: Connection, router: str) -> RollupState | None:
    """How the roll-ups stand; None when there is no such router."""
    delta = select(rollup_deltas.c.id).where(rollup_deltas.c.router == routers.c.name)
    columns = routers.c.rollups_at, routers.c.rollups_revision, delta.exists()
    row = connection.execute(select(*columns).where(routers.c.name == router)).one_or_none()
    return None if row is None else RollupState._make(row)


def write_state(connection: Connection, router: str, made_at: float | None, revision: int) -> None:
    """Say that the roll-ups were corrected by the log."""
    values = {"rollups_at": made_at, "rollups_revision": revision}
    connection.execute(update(routers).where(routers.c.name == router).values(values))


def fold_deltas(connection: Connection, router: str, most: int) -> int:
    """Add the oldest ``most`` deltas to the cubes and delete them; how many there were.

    The caller holds the lock of the router's row, so that nobody else folds.
    """
    deltas = read_deltas(connection, router, most)
    if deltas:
        add_cells(connection, router, merge_cells(delta.cells() for delta in deltas.values()))
        delete_deltas(connection, router, list(deltas))
    return len(deltas)


def add_cells(connection: Connection, router: str, cells: Mapping[Cell, Sums]) -> None:
    """Add sums to rows of the cubes; rows that come to nothing go. The caller holds the router's lock."""
    changed = {cell: sums for cell, sums in cells.items() if sums}
    for chunk in _chunks(list(changed)):
        stored = select(rollups).where(rollups.c.router == router, tuple_(*_KEY).in_(chunk))
        new = {cell: changed[cell] for cell in chunk}
        for row in connection.execute(stored):
            add_to_cell(new, _cell_of(row), _sums_of(row))
        rows = [_rollup_row(router, cell, sums) for cell, sums in new.items() if sums]
        if rows:
            connection.execute(_UPSERT[connection.dialect.name], rows)
        empty = [cell for cell, sums in new.items() if not sums]
        if empty:
            connection.execute(delete(rollups).where(rollups.c.router == router, tuple_(*_KEY).in_(empty)))


def read_cells(connection: Connection, router: str, *where: ColumnElement[bool]) -> dict[Cell, Sums]:
    """The folded sums of all cells that are like that."""
    rows = connection.execute(select(rollups).where(rollups.c.router == router, *where))
    return {_cell_of(row): _sums_of(row) for row in rows}


def read_days(connection: Connection, router: str) -> set[int]:
    """The first hours of all days that have a cell of the log."""
    day = rollups.c.hour - rollups.c.hour % DAY_H
    of_log = rollups.c.router == router, rollups.c.kept.is_(False)
    return set(connection.scalars(select(func.distinct(day)).where(*of_log)))


def _rollup_row(router: str, cell: Cell, sums: Sums) -> dict[str, Any]:
    total, squares = split_sum(sums.total), split_sum(sums.squares)
    return {
        "router": router,
        **cell._asdict(),
        "count": sums.count,
        "total_high": total[0],
        "total_low": total[1],
        "squares_high": squares[0],
        "squares_low": squares[1],
        "bins": pack_bins(sums.bins),
        "delays": pack_bins(sums.delays),
    }


def _cell_of(row: Row[Any]) -> Cell:
    return Cell(*(getattr(row, name) for name in Cell._fields))


def _sums_of(row: Row[Any]) -> Sums:
    values = row._mapping  # a row has a method named count
    return Sums(
        values["count"],
        join_sum(row.total_high, row.total_low),
        join_sum(row.squares_high, row.squares_low),
        unpack_bins(row.bins),
        unpack_bins(row.delays),
    )


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK))
