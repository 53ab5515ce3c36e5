"""Add how a budget stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_spending"
down_revision = "0001_log_and_snapshots"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "spending",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "budget_usd",
            sa.Double(),
            nullable=False,
            comment="Budget it is paced by; another starts anew",
        ),
        sa.Column("budget_per", sa.String(length=16), nullable=False, comment="request or day"),
        sa.Column(
            "since",
            sa.Double(),
            nullable=False,
            comment="Unix time of the start, seconds; older decisions are out",
        ),
        sa.Column("requests", sa.BigInteger(), nullable=False, comment="Decisions booked"),
        sa.Column("allowance_usd", sa.Double(), nullable=False, comment="What they might spend, USD"),
        sa.Column(
            "spent_usd",
            sa.Double(),
            nullable=False,
            comment="Expected costs, corrected by those reported, USD",
        ),
        sa.Column(
            "forgone_usd", sa.Double(), nullable=False, comment="Allowance that lay unused for too long, USD"
        ),
        sa.Column(
            "pressure",
            sa.Double(),
            nullable=False,
            comment="Logarithm of the price of a dollar, as paced so far",
        ),
        sa.Column("as_of", sa.Double(), nullable=False, comment="Unix time of the last change, seconds"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_spending_routers")),
        sa.PrimaryKeyConstraint("router", name=op.f("pk_spending")),
        comment="How a router's budget stands; changed in the transaction of the decision or the cost",
    )


def downgrade() -> None:

    op.drop_table("spending")
