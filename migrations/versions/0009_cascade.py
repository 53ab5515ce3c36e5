"""Add cascades: answers accepted or retried, and what their confidence is worth."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_cascade"
down_revision = "0008_latencies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "escalations",
        _router(),
        sa.Column(
            "parent",
            sa.String(length=36),
            nullable=False,
            comment="Decision whose answer was judged; at most once",
        ),
        sa.Column("asked_at", sa.Double(), nullable=False, comment="Unix time, seconds"),
        sa.Column(
            "confidence",
            sa.Double(),
            nullable=False,
            comment="How sure of its answer the model was, in [0, 1]",
        ),
        sa.Column("p_good", sa.Double(), nullable=False, comment="Expected reward of the answer, given that"),
        sa.Column(
            "p_retry_good",
            sa.Double(),
            nullable=True,
            comment="Expected reward of a retry; null: there could be none",
        ),
        sa.Column("propensity", sa.Double(), nullable=False, comment="Probability of what was done"),
        sa.Column(
            "snapshot", sa.BigInteger(), nullable=False, comment="Version of the snapshot that was read"
        ),
        sa.Column("why", sa.Text(), nullable=False, comment="Why it was done, in words"),
        sa.Column(
            "decision_id",
            sa.String(length=36),
            nullable=True,
            comment="Decision that retries the query; null: the answer was accepted",
        ),
        sa.ForeignKeyConstraint(
            ["router", "parent"],
            ["decisions.router", "decisions.id"],
            name=op.f("fk_escalations_decisions"),
        ),
        sa.PrimaryKeyConstraint("router", "parent", name=op.f("pk_escalations")),
        comment="Answers accepted or retried; inserted in the transaction of the retry, never changed",
    )
    op.create_table(
        "folded_confidences",
        _router(),
        sa.Column(
            "decision_id",
            sa.String(length=36),
            nullable=False,
            comment="Decision whose reward is counted by confidence",
        ),
        sa.Column("reward", sa.Double(), nullable=False, comment="The reward counted, in [0, 1]"),
        sa.Column(
            "version", sa.BigInteger(), nullable=False, comment="Snapshot that first contained this reward"
        ),
        sa.ForeignKeyConstraint(
            ["router", "decision_id"],
            ["decisions.router", "decisions.id"],
            name=op.f("fk_folded_confidences_decisions"),
        ),
        sa.PrimaryKeyConstraint("router", "decision_id", name=op.f("pk_folded_confidences")),
        comment="Exactly what the newest snapshot's calibrators have counted; changed only in the fold",
    )
    op.add_column(
        "snapshots",
        sa.Column(
            "calibrators",
            sa.LargeBinary(),
            nullable=True,
            comment="The same of rewards given a confidence; null: no cascade",
        ),
    )


def downgrade() -> None:
    op.drop_column("snapshots", "calibrators")
    op.drop_table("folded_confidences")
    op.drop_table("escalations")


def _router() -> sa.Column[str]:
    return sa.Column(
        "router", sa.String(length=128), nullable=False, comment="Router the row belongs to; the shard key"
    )
