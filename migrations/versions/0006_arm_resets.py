"""Add since when an arm is another, and since when rewards are made as they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_arm_resets"
down_revision = "0005_warm_starts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "arms",
        sa.Column(
            "reset_at",
            sa.Double(),
            nullable=True,
            comment="Unix time; older decisions are not learned from; null: all are",
        ),
    )
    op.add_column(
        "arms",
        sa.Column(
            "reset_snapshot", sa.BigInteger(), nullable=True, comment="First snapshot that knows of the reset"
        ),
    )
    op.add_column(
        "routers",
        sa.Column(
            "weights_since",
            sa.BigInteger(),
            nullable=True,
            comment="First snapshot of these reward_weights; null: the first",
        ),
    )


def downgrade() -> None:
    op.drop_column("routers", "weights_since")
    op.drop_column("arms", "reset_snapshot")
    op.drop_column("arms", "reset_at")
