"""Number the tasks of a router, and log decisions with the number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025_tasks"
down_revision = "0024_own_calls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "number",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="0, 1, 2, … below 64 per router",
        ),
        sa.Column(
            "name", sa.String(length=200), nullable=False, comment="Name of the task, unique in its router"
        ),
        sa.Column(
            "sketch",
            sa.LargeBinary(),
            nullable=True,
            comment="Sketch of the prompt that named it; null: a caller did",
        ),
        sa.Column("first_seen_at", sa.Double(), nullable=False, comment="Unix time, seconds"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_tasks_routers")),
        sa.PrimaryKeyConstraint("router", "number", name=op.f("pk_tasks")),
        sa.UniqueConstraint("router", "name", name=op.f("uq_tasks_router")),
        comment="The tasks that are learned apart; rows are never deleted, all further names share number 64",
    )
    op.add_column(
        "routers",
        sa.Column(
            "tasks_revision",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="Grows when a task gets another name",
        ),
    )
    _replace_task(sa.Integer(), "Number of its task, see tasks; null: none is known")


def downgrade() -> None:
    _replace_task(sa.String(length=255), "Task of the query; null: none is known")
    op.drop_column("routers", "tasks_revision")
    op.drop_table("tasks")


def _replace_task(kind: sa.types.TypeEngine[int] | sa.types.TypeEngine[str], comment: str) -> None:
    """Another type of column: nothing could be in it so far."""
    op.drop_column("decisions", "task")
    op.add_column("decisions", sa.Column("task", kind, nullable=True, comment=comment))
