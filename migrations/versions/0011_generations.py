"""Keep all that is counted in one table, by generation, and each model state in one blob."""

from __future__ import annotations

import json
import struct
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011_generations"
down_revision = "0010_floors"
branch_labels = None
depends_on = None

_QUANTITIES = {  # quantity: its former table and column
    "reward": ("folded", "reward"),
    "cost": ("folded_costs", "root"),
    "latency": ("folded_latencies", "latency_s"),
    "confident_reward": ("folded_confidences", "reward"),
}
_COMPONENTS = {  # component: its former column
    "reward": "posterior",
    "cost": "costs",
    "latency": "latencies",
    "confident_reward": "calibrators",
}
_PREFIX = struct.Struct("<4sHI")
_MAGIC, _FORMAT = b"BRMS", 1


def upgrade() -> None:
    op.add_column(
        "routers",
        sa.Column(
            "generation",
            sa.BigInteger(),
            nullable=False,
            server_default="1",
            comment="Rows of folded in force",
        ),
    )
    op.add_column(
        "routers",
        sa.Column(
            "rebuilding",
            sa.BigInteger(),
            nullable=True,
            comment="Newest generation that a rebuild was begun for",
        ),
    )
    op.add_column(
        "routers",
        sa.Column(
            "rebuilding_at",
            sa.Double(),
            nullable=True,
            comment="Unix time of its last sign of life; null: it is over",
        ),
    )
    op.add_column(
        "pending",
        sa.Column(
            "rebuild",
            sa.BigInteger(),
            nullable=True,
            comment="Folded into the state in force; this generation still has to look. Null: not folded yet",
        ),
    )
    _comment(
        "pending",
        "One mark per feedback row no learner has looked at; a fold takes it away",
    )
    _merge_folded()
    _replace("snapshots", _snapshots(_STATE, "Published model states; the oldest are pruned"), _packed)
    _replace("warm_starts", _warm_starts(_OPTIONAL_STATE), _packed)


def downgrade() -> None:
    _replace("warm_starts", _warm_starts(_WARM_BLOBS), _unpacked)
    _replace("snapshots", _snapshots(_BLOBS, "Published posteriors; the oldest are pruned"), _unpacked)
    _split_folded()
    _comment("pending", "One mark per feedback row no learner has looked at; the fold deletes it")
    op.execute("DELETE FROM pending WHERE rebuild IS NOT NULL")
    op.drop_column("pending", "rebuild")
    for column in ("rebuilding_at", "rebuilding", "generation"):
        op.drop_column("routers", column)


# -- what is counted ------------------------------------------------------------------------------


def _merge_folded() -> None:
    _set_aside("folded")
    op.create_table(
        "folded",
        _router(),
        sa.Column(
            "generation",
            sa.BigInteger(),
            nullable=False,
            comment="Which rebuild made it; see routers",
        ),
        sa.Column(
            "quantity",
            sa.String(length=32),
            nullable=False,
            comment="Name of a learned quantity, such as reward",
        ),
        sa.Column(
            "decision_id", sa.String(length=36), nullable=False, comment="Decision whose value is counted"
        ),
        sa.Column("value", sa.Double(), nullable=False, comment="The value counted"),
        sa.Column(
            "version",
            sa.BigInteger(),
            nullable=False,
            comment="Snapshot that first contained this value",
        ),
        _of_decision("folded"),
        sa.PrimaryKeyConstraint("router", "generation", "quantity", "decision_id", name=op.f("pk_folded")),
        comment="Exactly what the newest snapshot counts, in the generation in force",
    )
    for quantity, (table, column) in _QUANTITIES.items():
        former = "folded_0010" if table == "folded" else table
        op.execute(
            "INSERT INTO folded (router, generation, quantity, decision_id, value, version) "
            f"SELECT router, 1, '{quantity}', decision_id, {column}, version FROM {former}"
        )
        op.drop_table(former)


def _split_folded() -> None:
    _set_aside("folded")
    for quantity, (table, column) in _QUANTITIES.items():
        op.create_table(
            table,
            _router(),
            sa.Column(
                "decision_id", sa.String(length=36), nullable=False, comment=_FORMER[table]["decision_id"]
            ),
            sa.Column(column, sa.Double(), nullable=False, comment=_FORMER[table]["value"]),
            sa.Column("version", sa.BigInteger(), nullable=False, comment=_FORMER[table]["version"]),
            _of_decision(table),
            sa.PrimaryKeyConstraint("router", "decision_id", name=op.f(f"pk_{table}")),
            comment=_FORMER[table]["table"],
        )
        op.execute(
            f"INSERT INTO {table} (router, decision_id, {column}, version) "
            "SELECT f.router, f.decision_id, f.value, f.version FROM folded_0010 f "
            "JOIN routers r ON r.name = f.router AND r.generation = f.generation "
            f"WHERE f.quantity = '{quantity}'"
        )
    op.drop_table("folded_0010")


_FORMER = {
    "folded": {
        "decision_id": "Decision whose reward is counted",
        "value": "The reward counted, in [0, 1]",
        "version": "Snapshot that first contained this reward",
        "table": "Exactly what the newest snapshot has counted; changed only in the fold's transaction",
    },
    "folded_costs": {
        "decision_id": "Decision whose cost is counted",
        "value": "Square root of reported over list cost, as counted",
        "version": "Snapshot that first contained this cost",
        "table": "Exactly the costs the newest snapshot has counted; changed only in the fold's transaction",
    },
    "folded_latencies": {
        "decision_id": "Decision whose latency is counted",
        "value": "The latency counted, seconds",
        "version": "Snapshot that first contained this latency",
        "table": "Exactly the latencies the newest snapshot has counted; changed only in the fold",
    },
    "folded_confidences": {
        "decision_id": "Decision whose reward is counted by confidence",
        "value": "The reward counted, in [0, 1]",
        "version": "Snapshot that first contained this reward",
        "table": "Exactly what the newest snapshot's calibrators have counted; changed only in the fold",
    },
}


# -- model states ---------------------------------------------------------------------------------

_STATE: tuple[sa.Column[Any], ...] = (
    sa.Column(
        "state",
        sa.LargeBinary(),
        nullable=False,
        comment="Model state in its binary form, checksummed",
    ),
)
_OPTIONAL_STATE: tuple[sa.Column[Any], ...] = (
    sa.Column(
        "state",
        sa.LargeBinary(),
        nullable=True,
        comment="Model state that knows nothing else; null: no warm start",
    ),
)
_BLOBS: tuple[sa.Column[Any], ...] = (
    sa.Column(
        "posterior",
        sa.LargeBinary(),
        nullable=False,
        comment="bandit_router.snapshot format, checksummed",
    ),
    sa.Column(
        "costs",
        sa.LargeBinary(),
        nullable=True,
        comment="The same of costs beside list prices; null: nothing",
    ),
    sa.Column(
        "latencies",
        sa.LargeBinary(),
        nullable=True,
        comment="The same of latencies, as counts in bins; null: nothing",
    ),
    sa.Column(
        "calibrators",
        sa.LargeBinary(),
        nullable=True,
        comment="The same of rewards given a confidence; null: no cascade",
    ),
)
_WARM_BLOBS: tuple[sa.Column[Any], ...] = (
    sa.Column(
        "posterior",
        sa.LargeBinary(),
        nullable=True,
        comment="A snapshot that knows nothing else; null: no warm start",
    ),
    sa.Column("costs", sa.LargeBinary(), nullable=True, comment="The same of costs beside list prices"),
)


def _snapshots(blobs: tuple[sa.Column[Any], ...], comment: str) -> Any:
    return lambda: op.create_table(
        "snapshots",
        _router(),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="1, 2, 3, … per router"),
        sa.Column("published_at", sa.Double(), nullable=False, comment="Unix time of publication, seconds"),
        *blobs,
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_snapshots_routers")),
        sa.PrimaryKeyConstraint("router", "version", name=op.f("pk_snapshots")),
        comment=comment,
    )


def _warm_starts(blobs: tuple[sa.Column[Any], ...]) -> Any:
    return lambda: op.create_table(
        "warm_starts",
        _router(),
        sa.Column(
            "id",
            sa.BigInteger(),
            nullable=False,
            comment="1, 2, 3, … per router; the largest is in force",
        ),
        sa.Column("loaded_at", sa.Double(), nullable=False, comment="Unix time, seconds"),
        sa.Column("source", sa.Text(), nullable=False, comment="Where it is from"),
        sa.Column(
            "trust",
            sa.Double(),
            nullable=True,
            comment="Queries it may count for; null: as many as it is of",
        ),
        *blobs,
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_warm_starts_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_warm_starts")),
        comment="Evidence from elsewhere that counts as prior; what a rebuild from the log begins with",
    )


def _replace(name: str, create: Any, convert: Any) -> None:
    """Make the table anew and move its rows, one at a time: together the blobs may exceed memory."""
    _set_aside(name)
    table: sa.Table = create()
    key = "version" if name == "snapshots" else "id"
    connection, former = op.get_bind(), f"{name}_0010"
    keys = connection.execute(sa.text(f"SELECT router, {key} AS key FROM {former}")).all()
    row_of = sa.text(f"SELECT * FROM {former} WHERE router = :router AND {key} = :key")
    for router, value in keys:
        row = dict(connection.execute(row_of, {"router": router, "key": value}).mappings().one())
        op.bulk_insert(table, [convert(row)])
    op.drop_table(former)


def _packed(row: dict[str, Any]) -> dict[str, Any]:
    columns = {name: row.pop(column, None) for name, column in _COMPONENTS.items()}
    blobs = {name: bytes(blob) for name, blob in columns.items() if blob is not None}
    if not blobs:
        return row | {"state": None}
    header = json.dumps({"components": [[name, len(blob)] for name, blob in blobs.items()]}).encode()
    return row | {"state": _PREFIX.pack(_MAGIC, _FORMAT, len(header)) + header + b"".join(blobs.values())}


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    state, blobs = row.pop("state"), dict.fromkeys(_COMPONENTS.values())
    if state is not None:
        state = bytes(state)
        start = _PREFIX.size + _PREFIX.unpack_from(state)[2]
        for name, length in json.loads(state[_PREFIX.size : start])["components"]:
            blobs[_COMPONENTS[name]] = state[start : start + length]
            start += length
    if "trust" in row:
        return row | {name: blobs[name] for name in ("posterior", "costs")}
    return row | blobs


# -- tables ---------------------------------------------------------------------------------------


def _set_aside(name: str) -> None:
    """Rename a table, and on PostgreSQL its key, whose name the next one of that name needs."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
        op.execute(f"ALTER TABLE {name} RENAME CONSTRAINT pk_{name} TO pk_{name}_0010")
    op.rename_table(name, f"{name}_0010")


def _comment(table: str, comment: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        op.create_table_comment(table, comment)


def _router() -> sa.Column[str]:
    return sa.Column(
        "router", sa.String(length=128), nullable=False, comment="Router the row belongs to; the shard key"
    )


def _of_decision(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["router", "decision_id"],
        ["decisions.router", "decisions.id"],
        name=op.f(f"fk_{table}_decisions"),
    )
