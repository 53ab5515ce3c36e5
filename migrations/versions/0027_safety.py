"""Bound what a policy may lose to a baseline."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027_safety"
down_revision = "0026_rollouts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "safety_books",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "baseline", sa.String(length=128), nullable=False, comment="Arm that decisions are compared with"
        ),
        sa.Column("at_most", sa.Double(), nullable=False, comment="Share of what it earns that may be lost"),
        sa.Column("probability", sa.Double(), nullable=False, comment="Probability with which that holds"),
        sa.Column(
            "since", sa.Double(), nullable=False, comment="Unix time at which the book was begun, seconds"
        ),
        sa.Column("decisions", sa.BigInteger(), nullable=False, comment="Decisions compared so far"),
        sa.Column(
            "earned",
            sa.Double(),
            nullable=False,
            comment="Utility that the baseline would have earned on them",
        ),
        sa.Column(
            "lost_mean", sa.Double(), nullable=False, comment="Utility lost to the baseline, as expected"
        ),
        sa.Column(
            "lost_high",
            sa.Double(),
            nullable=False,
            comment="The most that was lost, with the probability",
        ),
        sa.Column(
            "book",
            sa.LargeBinary(),
            nullable=True,
            comment="Sums that both are predicted from; null: nothing is booked yet",
        ),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="Grows with every change"),
        sa.Column(
            "snapshot",
            sa.BigInteger(),
            nullable=False,
            comment="Newest snapshot that it was predicted from",
        ),
        sa.Column(
            "reset_snapshot",
            sa.BigInteger(),
            nullable=False,
            comment="Newest reset of an arm that is settled",
        ),
        sa.Column("folded_at", sa.Double(), nullable=False, comment="Unix time of the newest fold, seconds"),
        sa.Column("ahead", sa.Double(), nullable=False, comment="Decisions that the share was found for"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_safety_books_routers")),
        sa.PrimaryKeyConstraint("router", name=op.f("pk_safety_books")),
        comment="What a bound policy may have lost to its baseline; one book per router",
    )
    op.create_table(
        "safety_marks",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "decision_id",
            sa.String(length=36),
            nullable=False,
            comment="Decision that its safety_books lacks",
        ),
        sa.ForeignKeyConstraint(
            ["router", "decision_id"],
            ["decisions.router", "decisions.id"],
            name=op.f("fk_safety_marks_decisions"),
        ),
        sa.PrimaryKeyConstraint("router", "decision_id", name=op.f("pk_safety_marks")),
        comment="One mark per decision not yet compared with the baseline; a fold takes it away",
    )
    op.add_column(
        "routers",
        sa.Column(
            "safety_share",
            sa.Double(),
            nullable=True,
            comment="Share of traffic that a bound policy has; null: none is bound",
        ),
    )


def downgrade() -> None:
    op.drop_column("routers", "safety_share")
    op.drop_table("safety_marks")
    op.drop_table("safety_books")
