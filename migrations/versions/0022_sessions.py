"""Keep sessions of the dashboard, and find a user's decisions in the order of time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022_sessions"
down_revision = "0021_roll_ups"
branch_labels = None
depends_on = None

_HAS_USER = sa.text("user_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("token_hash", sa.String(length=64), nullable=False, comment="SHA-256 of its token"),
        sa.Column("key_id", sa.String(length=16), nullable=False, comment="API key it was begun with"),
        sa.Column(
            "secret_hash", sa.String(length=64), nullable=False, comment="SHA-256 of that key's secret"
        ),
        sa.Column("expires_at", sa.Double(), nullable=False, comment="Unix time from which it is refused"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_sessions_routers")),
        sa.PrimaryKeyConstraint("router", "token_hash", name=op.f("pk_sessions")),
        comment="Browsers that are logged in to the dashboard; deleted when they log out",
    )
    _index_users("router", "user_id", "id")


def downgrade() -> None:
    _index_users("router", "user_id")
    op.drop_table("sessions")


def _index_users(*columns: str) -> None:
    op.drop_index("ix_decisions_user", "decisions")
    op.create_index(
        "ix_decisions_user",
        "decisions",
        list(columns),
        sqlite_where=_HAS_USER,
        postgresql_where=_HAS_USER,
    )
