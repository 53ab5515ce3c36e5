"""Sum the log by hour and day, and log what roll-ups go by: key, task and the utility of the greedy arm."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021_roll_ups"
down_revision = "0020_key_feedback"
branch_labels = None
depends_on = None

_ROUTER = "Router the row belongs to; the shard key"


def upgrade() -> None:
    op.add_column(
        "routers",
        sa.Column(
            "rollups_at",
            sa.Double(),
            nullable=True,
            comment="Unix time its roll-ups were made from the log; null: not yet",
        ),
    )
    op.add_column(
        "routers",
        sa.Column(
            "rollups_revision",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Grows with every correction of its roll-ups by the log",
        ),
    )
    for name, kind, comment in (
        ("key_id", sa.String(length=16), "API key of the request; null: it had none"),
        ("task", sa.String(length=255), "Task of the query; null: none is known"),
        ("greedy_utility", sa.Double(), "Largest utility of an eligible arm; null: it is not known"),
    ):
        op.add_column("decisions", sa.Column(name, kind, nullable=True, comment=comment))
    op.create_table(
        "rollups",
        sa.Column("router", sa.String(length=128), nullable=False, comment=_ROUTER),
        sa.Column(
            "cube",
            sa.String(length=8),
            nullable=False,
            comment="hour, day, tier, key or task; the last four by day",
        ),
        sa.Column(
            "hour",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="First hour of the decisions, as hours since 1970 UTC",
        ),
        sa.Column(
            "member",
            sa.String(length=255),
            nullable=False,
            comment="Their tier, key or task; empty: all decisions",
        ),
        sa.Column(
            "kept",
            sa.Boolean(),
            nullable=False,
            comment="Of decisions that are not in the log any more",
        ),
        sa.Column("arm", sa.String(length=128), nullable=False, comment="Their arm, by the name in the log"),
        sa.Column("reason", sa.String(length=16), nullable=False, comment="Why they were made"),
        sa.Column(
            "measure",
            sa.String(length=32),
            nullable=False,
            comment="A metric, or what is known without feedback",
        ),
        sa.Column("count", sa.BigInteger(), nullable=False, comment="Number of values"),
        sa.Column(
            "total_high",
            sa.BigInteger(),
            nullable=False,
            comment="Their sum in fixed point: high · 2³² + low",
        ),
        sa.Column("total_low", sa.BigInteger(), nullable=False, comment="See total_high"),
        sa.Column(
            "squares_high",
            sa.BigInteger(),
            nullable=False,
            comment="Sum of their squares, in the same form",
        ),
        sa.Column("squares_low", sa.BigInteger(), nullable=False, comment="See squares_high"),
        sa.Column(
            "bins",
            sa.LargeBinary(),
            nullable=True,
            comment="Values by bin: pairs of int32; null: the measure is not binned",
        ),
        sa.Column(
            "delays",
            sa.LargeBinary(),
            nullable=True,
            comment="Seconds to the first value, by bin; null: it had none",
        ),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_rollups_routers")),
        sa.PrimaryKeyConstraint(
            "router",
            "cube",
            "hour",
            "member",
            "kept",
            "arm",
            "reason",
            "measure",
            name=op.f("pk_rollups"),
        ),
        comment="Sums over the log by hour and day; learners fold rollup_deltas into it",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollup_deltas",
        sa.Column("router", sa.String(length=128), nullable=False, comment=_ROUTER),
        sa.Column("id", sa.String(length=32), nullable=False, comment="UUIDv7, without hyphens"),
        sa.Column("slices", sa.JSON(), nullable=False, comment="Sums to add, by slice and measure"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_rollup_deltas_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_rollup_deltas")),
        comment="What transactions add to rollups: inserted with the log, and taken away by a fold",
    )


def downgrade() -> None:
    op.drop_table("rollup_deltas")
    op.drop_table("rollups")
    for name in ("greedy_utility", "task", "key_id"):
        op.drop_column("decisions", name)
    for name in ("rollups_revision", "rollups_at"):
        op.drop_column("routers", name)
