"""Add what decisions know of a query besides its context, and why arms were not eligible."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_signals"
down_revision = "0003_learned_costs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "decisions",
        sa.Column(
            "signals",
            sa.JSON(),
            nullable=True,
            comment="What was known of the query besides x, by name; null: nothing",
        ),
    )
    op.add_column(
        "decisions",
        sa.Column(
            "excluded",
            sa.JSON(),
            nullable=True,
            comment="Why each other arm was not eligible; null: none was excluded",
        ),
    )


def downgrade() -> None:
    op.drop_column("decisions", "excluded")
    op.drop_column("decisions", "signals")
