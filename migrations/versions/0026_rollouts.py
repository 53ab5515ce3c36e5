"""Keep the stages of rollouts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026_rollouts"
down_revision = "0025_tasks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollout_stages",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="1, 2, 3, … per router"),
        sa.Column("contest", sa.Text(), nullable=False, comment="Specs of its incumbent and its candidate"),
        sa.Column("share", sa.Double(), nullable=False, comment="Share of traffic that the candidate has"),
        sa.Column("since", sa.Double(), nullable=False, comment="Unix time at which it began, seconds"),
        sa.Column(
            "aborted",
            sa.Boolean(),
            nullable=False,
            comment="Whether the share was taken back in an emergency",
        ),
        sa.Column("why", sa.Text(), nullable=False, comment="What began it"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_rollout_stages_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_rollout_stages")),
        comment="The stages of rollouts, each until the next one",
    )
    op.add_column(
        "routers",
        sa.Column(
            "rollout_stage",
            sa.BigInteger(),
            nullable=True,
            comment="Stage of the rollout under way; null: there is none",
        ),
    )


def downgrade() -> None:
    op.drop_column("routers", "rollout_stage")
    op.drop_table("rollout_stages")
