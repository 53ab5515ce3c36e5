"""Add what costs are learned by, and what of them is counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_learned_costs"
down_revision = "0002_spending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "folded_costs",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "decision_id", sa.String(length=36), nullable=False, comment="Decision whose cost is counted"
        ),
        sa.Column(
            "root",
            sa.Double(),
            nullable=False,
            comment="Square root of reported over list cost, as counted",
        ),
        sa.Column(
            "version", sa.BigInteger(), nullable=False, comment="Snapshot that first contained this cost"
        ),
        sa.ForeignKeyConstraint(
            ["router", "decision_id"],
            ["decisions.router", "decisions.id"],
            name=op.f("fk_folded_costs_decisions"),
        ),
        sa.PrimaryKeyConstraint("router", "decision_id", name=op.f("pk_folded_costs")),
        comment="Exactly the costs the newest snapshot has counted; changed only in the fold's transaction",
    )
    op.add_column(
        "decisions",
        sa.Column(
            "list_cost_usd",
            sa.Double(),
            nullable=True,
            comment="Cost of the action by its price list, USD",
        ),
    )
    op.add_column(
        "snapshots",
        sa.Column(
            "costs",
            sa.LargeBinary(),
            nullable=True,
            comment="The same of costs beside list prices; null: nothing",
        ),
    )


def downgrade() -> None:
    op.drop_column("snapshots", "costs")
    op.drop_column("decisions", "list_cost_usd")
    op.drop_table("folded_costs")
