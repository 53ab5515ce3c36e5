"""Book what API keys spend in a day, and what their calls under way have reserved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_key_spending"
down_revision = "0017_users"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "key_spending",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("key_id", sa.String(length=16), nullable=False, comment="API key that has a budget"),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False, comment="Days since 1970, UTC"),
        sa.Column(
            "reserved_nano_usd",
            sa.BigInteger(),
            nullable=False,
            comment="By calls under way, billionths of USD",
        ),
        sa.Column(
            "spent_nano_usd",
            sa.BigInteger(),
            nullable=False,
            comment="By calls that ended, billionths of USD",
        ),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_key_spending_routers")),
        sa.PrimaryKeyConstraint("router", "key_id", "day", name=op.f("pk_key_spending")),
        comment="The budgets of API keys, day by day; changed when a call begins, and when it ends",
    )
    op.add_column(
        "calls",
        sa.Column(
            "key_id",
            sa.String(length=16),
            nullable=True,
            comment="API key whose budget bears it; null: it has none",
        ),
    )
    op.add_column(
        "calls",
        sa.Column("day", sa.Integer(), nullable=True, comment="Day of that budget: days since 1970, UTC"),
    )
    op.add_column(
        "calls",
        sa.Column(
            "reserved_nano_usd",
            sa.BigInteger(),
            nullable=True,
            comment="What was reserved of it, billionths of USD",
        ),
    )


def downgrade() -> None:
    for name in ("reserved_nano_usd", "day", "key_id"):
        op.drop_column("calls", name)
    op.drop_table("key_spending")
