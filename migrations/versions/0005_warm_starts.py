"""Add evidence from elsewhere that counts as prior."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_warm_starts"
down_revision = "0004_signals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "warm_starts",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "id",
            sa.BigInteger(),
            nullable=False,
            comment="1, 2, 3, … per router; the largest is in force",
        ),
        sa.Column("loaded_at", sa.Double(), nullable=False, comment="Unix time, seconds"),
        sa.Column("source", sa.Text(), nullable=False, comment="Where it is from"),
        sa.Column(
            "trust", sa.Double(), nullable=True, comment="Queries it may count for; null: as many as it is of"
        ),
        sa.Column(
            "posterior",
            sa.LargeBinary(),
            nullable=True,
            comment="A snapshot that knows nothing else; null: no warm start",
        ),
        sa.Column("costs", sa.LargeBinary(), nullable=True, comment="The same of costs beside list prices"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_warm_starts_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_warm_starts")),
        comment="Evidence from elsewhere that counts as prior; what a rebuild from the log begins with",
    )


def downgrade() -> None:
    op.drop_table("warm_starts")
