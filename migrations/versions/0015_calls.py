"""Record the calls of the gateway: one for each of its decisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_calls"
down_revision = "0014_renamed_arms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calls",
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
            comment="Decision whose arm was called; at most once",
        ),
        sa.Column(
            "started_at", sa.Double(), nullable=False, comment="Unix time, seconds; committed before the call"
        ),
        sa.Column(
            "outcome",
            sa.String(length=16),
            nullable=True,
            comment="How it ended; null: it has not, or its worker was killed",
        ),
        sa.Column(
            "ttft_s",
            sa.Double(),
            nullable=True,
            comment="Seconds to the first content of the answer; null: none came",
        ),
        sa.Column("latency_s", sa.Double(), nullable=True, comment="Seconds to the end; null: it has none"),
        sa.Column(
            "status", sa.Integer(), nullable=True, comment="HTTP status of upstream; null: it gave none"
        ),
        sa.Column(
            "input_tokens",
            sa.BigInteger(),
            nullable=True,
            comment="Input read at full price; null: no usage is known",
        ),
        sa.Column(
            "cache_read_tokens",
            sa.BigInteger(),
            nullable=True,
            comment="Input read from the provider's cache",
        ),
        sa.Column(
            "cache_write_tokens",
            sa.BigInteger(),
            nullable=True,
            comment="Input written to the provider's cache",
        ),
        sa.Column(
            "cache_write_1h_tokens",
            sa.BigInteger(),
            nullable=True,
            comment="The part of it that is kept for an hour",
        ),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True, comment="Output, with its reasoning"),
        sa.Column(
            "reasoning_tokens",
            sa.BigInteger(),
            nullable=True,
            comment="The part of the output that is reasoning",
        ),
        sa.Column(
            "service_tier",
            sa.String(length=32),
            nullable=True,
            comment="The provider's tier, where it has another price",
        ),
        sa.Column("cost_usd", sa.Double(), nullable=True, comment="USD; null until it has ended"),
        sa.Column(
            "cost_reported",
            sa.Boolean(),
            nullable=True,
            comment="By the usage upstream reported; false: it is an estimate",
        ),
        sa.Column("served_model", sa.Text(), nullable=True, comment="The model that upstream says answered"),
        sa.Column("request_id", sa.Text(), nullable=True, comment="Upstream's id of the request"),
        sa.Column(
            "answer_id",
            sa.String(length=255),
            nullable=True,
            comment="Upstream's id of the answer; feedback may name it",
        ),
        sa.Column(
            "finish", sa.Text(), nullable=True, comment="Why the answer ended, in the words of its dialect"
        ),
        sa.Column("error", sa.Text(), nullable=True, comment="What went wrong"),
        sa.ForeignKeyConstraint(
            ["router", "decision_id"], ["decisions.router", "decisions.id"], name=op.f("fk_calls_decisions")
        ),
        sa.PrimaryKeyConstraint("router", "decision_id", name=op.f("pk_calls")),
        comment="Calls of the gateway; inserted with the decision, changed once, when the call ends",
    )
    under_way, has_answer = sa.text("outcome IS NULL"), sa.text("answer_id IS NOT NULL")
    op.create_index(
        "ix_calls_under_way",
        "calls",
        ["router", "started_at"],
        sqlite_where=under_way,
        postgresql_where=under_way,
    )
    op.create_index(
        "ix_calls_answer",
        "calls",
        ["router", "answer_id"],
        sqlite_where=has_answer,
        postgresql_where=has_answer,
    )


def downgrade() -> None:
    op.drop_index("ix_calls_answer", table_name="calls")
    op.drop_index("ix_calls_under_way", table_name="calls")
    op.drop_table("calls")
