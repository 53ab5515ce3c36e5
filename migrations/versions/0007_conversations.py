"""Add conversations that keep their arm, and an index of what followed a decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_conversations"
down_revision = "0006_arm_resets"
branch_labels = None
depends_on = None

_FOLLOWS = sa.text("parent IS NOT NULL")
_METRICS = "quality, satisfaction, cost_usd, latency_s or error"
_METRIC = "Name of a metric, such as quality or cost_usd"


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("id", sa.String(length=255), nullable=False, comment="Conversation the caller named"),
        sa.Column("arm", sa.String(length=128), nullable=False, comment="The arm it keeps"),
        sa.Column(
            "choice",
            sa.String(length=36),
            nullable=False,
            comment="Decision that chose the arm; gets its feedback",
        ),
        sa.Column("promoted", sa.Boolean(), nullable=False, comment="Its one change of arm has been made"),
        sa.Column(
            "started_at", sa.Double(), nullable=False, comment="Unix time of its first decision, seconds"
        ),
        sa.Column(
            "seen_at", sa.Double(), nullable=False, comment="Unix time of its newest decision, seconds"
        ),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_conversations_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_conversations")),
        comment="The arm every conversation keeps; changed in the transaction of a decision, never deleted",
    )
    op.create_index(
        "ix_decisions_parent",
        "decisions",
        ["router", "parent"],
        sqlite_where=_FOLLOWS,
        postgresql_where=_FOLLOWS,
    )
    _say_of_metric(_METRIC, instead_of=_METRICS)


def downgrade() -> None:
    _say_of_metric(_METRICS, instead_of=_METRIC)
    op.drop_index("ix_decisions_parent", "decisions")
    op.drop_table("conversations")


def _say_of_metric(comment: str, instead_of: str) -> None:
    if op.get_context().dialect.supports_comments:
        op.alter_column(
            "feedback",
            "metric",
            existing_type=sa.String(length=32),
            existing_nullable=False,
            comment=comment,
            existing_comment=instead_of,
        )
