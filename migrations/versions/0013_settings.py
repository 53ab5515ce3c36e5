"""Record the settings that a router is given, and number the changes of a goal's book."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_settings"
down_revision = "0012_claimed_stamps"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "applied_settings",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "id",
            sa.BigInteger(),
            nullable=False,
            comment="1, 2, 3, … per router; the largest is in force",
        ),
        sa.Column("fingerprint", sa.String(length=64), nullable=False, comment="SHA-256 of the settings"),
        sa.Column(
            "settings",
            sa.JSON(),
            nullable=False,
            comment="Sections that all workers share, without defaults",
        ),
        sa.Column("applied_at", sa.Double(), nullable=False, comment="Unix time, seconds"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_applied_settings_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_applied_settings")),
        comment="The settings a router was given; a worker with superseded ones runs with those in force",
    )
    op.add_column(
        "routers",
        sa.Column(
            "settings_id",
            sa.BigInteger(),
            nullable=True,
            comment="The applied_settings in force; null: none on record",
        ),
    )
    op.add_column(
        "spending",
        sa.Column(
            "revision",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="Grows with every change",
        ),
    )
    _comment_goal("USD or reward it is paced by")


def downgrade() -> None:
    _comment_goal("USD or reward it is paced by; another starts anew")
    op.drop_column("spending", "revision")
    op.drop_column("routers", "settings_id")
    op.drop_table("applied_settings")


def _comment_goal(comment: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("spending", "goal", comment=comment, existing_type=sa.Double())
