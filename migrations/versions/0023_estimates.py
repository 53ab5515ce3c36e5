"""Keep what is estimated from the log now and then, and which worker does it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023_estimates"
down_revision = "0022_sessions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "estimates",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="What is estimated: savings"),
        sa.Column(
            "made_at",
            sa.Double(),
            nullable=True,
            comment="Unix time of the newest estimate; null: there is none yet",
        ),
        sa.Column("body", sa.JSON(), nullable=True, comment="The newest estimate; null: there is none yet"),
        sa.Column(
            "holder",
            sa.String(length=64),
            nullable=True,
            comment="Worker that makes the next one; null: nobody does",
        ),
        sa.Column(
            "held_until",
            sa.Double(),
            nullable=True,
            comment="Unix time from which another worker may; null: nobody does",
        ),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_estimates_routers")),
        sa.PrimaryKeyConstraint("router", "kind", name=op.f("pk_estimates")),
        comment="What is estimated from a sample of the log, now and then, by the worker with the lease",
    )


def downgrade() -> None:
    op.drop_table("estimates")
