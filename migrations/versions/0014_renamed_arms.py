"""Let an arm have another name and keep what was learned of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_renamed_arms"
down_revision = "0013_settings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "arms",
        sa.Column(
            "renamed_to",
            sa.String(length=128),
            nullable=True,
            comment="The name of the arm that its decisions count for; null: its own",
        ),
    )


def downgrade() -> None:
    op.drop_column("arms", "renamed_to")
