"""Weigh feedback by the key that gave it, and let what a key said count for nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020_key_feedback"
down_revision = "0019_forgotten_key_spending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "feedback",
        sa.Column(
            "key_id", sa.String(length=16), nullable=True, comment="API key that gave it; null: it has none"
        ),
    )
    op.add_column(
        "feedback",
        sa.Column(
            "weight",
            sa.Double(),
            nullable=False,
            server_default="1",
            comment="How much it counts, in [0, 1]; fixed when it was accepted",
        ),
    )
    op.add_column(
        "folded",
        sa.Column(
            "weight", sa.Double(), nullable=False, server_default="1", comment="The weight it is counted with"
        ),
    )
    op.add_column(
        "api_keys",
        sa.Column(
            "quarantined_at",
            sa.Double(),
            nullable=True,
            comment="Unix time; its feedback counts for nothing. Null: it counts",
        ),
    )
    in_quarantine = sa.column("quarantined_at").is_not(None)
    op.create_index(
        "ix_api_keys_quarantined",
        "api_keys",
        ["router", "id"],
        sqlite_where=in_quarantine,
        postgresql_where=in_quarantine,
    )
    op.create_table(
        "key_feedback",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False, comment="Days since 1970, UTC"),
        sa.Column("key_id", sa.String(length=16), nullable=False, comment="API key that gave feedback"),
        sa.Column(
            "given", sa.BigInteger(), nullable=False, comment="Pieces of feedback, not counting revisions"
        ),
        sa.Column("weight", sa.Double(), nullable=False, comment="Sum of the weights that were capped"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_key_feedback_routers")),
        sa.PrimaryKeyConstraint("router", "day", "key_id", name=op.f("pk_key_feedback")),
        comment="How much feedback each API key gave, day by day; what weights are made from",
    )


def downgrade() -> None:
    op.drop_table("key_feedback")
    op.drop_index("ix_api_keys_quarantined", table_name="api_keys")
    op.drop_column("api_keys", "quarantined_at")
    op.drop_column("folded", "weight")
    op.drop_column("feedback", "weight")
    op.drop_column("feedback", "key_id")
