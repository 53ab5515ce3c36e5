"""Add what latencies are learned by, and what of them is counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_latencies"
down_revision = "0007_conversations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "folded_latencies",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "decision_id", sa.String(length=36), nullable=False, comment="Decision whose latency is counted"
        ),
        sa.Column("latency_s", sa.Double(), nullable=False, comment="The latency counted, seconds"),
        sa.Column(
            "version", sa.BigInteger(), nullable=False, comment="Snapshot that first contained this latency"
        ),
        sa.ForeignKeyConstraint(
            ["router", "decision_id"],
            ["decisions.router", "decisions.id"],
            name=op.f("fk_folded_latencies_decisions"),
        ),
        sa.PrimaryKeyConstraint("router", "decision_id", name=op.f("pk_folded_latencies")),
        comment="Exactly the latencies the newest snapshot has counted; changed only in the fold",
    )
    op.add_column(
        "snapshots",
        sa.Column(
            "latencies",
            sa.LargeBinary(),
            nullable=True,
            comment="The same of latencies, as counts in bins; null: nothing",
        ),
    )
    # What was reported before is learned by the next fold.
    op.execute(
        "INSERT INTO pending (router, decision_id, metric, revision) "
        "SELECT router, decision_id, metric, revision FROM feedback WHERE metric = 'latency_s' "
        "AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.router = feedback.router "
        "AND pending.decision_id = feedback.decision_id AND pending.metric = feedback.metric "
        "AND pending.revision = feedback.revision)"
    )


def downgrade() -> None:
    op.drop_column("snapshots", "latencies")
    op.drop_table("folded_latencies")
