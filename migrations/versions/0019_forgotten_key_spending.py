"""Keep what the calls of forgotten users cost in the budgets of keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019_forgotten_key_spending"
down_revision = "0018_key_spending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "key_spending",
        sa.Column(
            "forgotten_nano_usd",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="The part of it that is of users who were forgotten, and is not in the log",
        ),
    )


def downgrade() -> None:
    op.drop_column("key_spending", "forgotten_nano_usd")
