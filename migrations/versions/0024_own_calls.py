"""Keep the calls that the router makes for itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024_own_calls"
down_revision = "0023_estimates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "own_calls",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("id", sa.String(length=36), nullable=False, comment="UUIDv7"),
        sa.Column(
            "purpose",
            sa.String(length=16),
            nullable=False,
            comment="What it is for: label, judge, self_check, sample",
        ),
        sa.Column(
            "arm", sa.String(length=128), nullable=False, comment="Arm that is called, by its name then"
        ),
        sa.Column(
            "decision_id",
            sa.String(length=36),
            nullable=True,
            comment="Decision it is about; null: none, or it was forgotten",
        ),
        sa.Column(
            "run",
            sa.String(length=32),
            nullable=True,
            comment="Run of a command that makes it; null: a service makes it",
        ),
        sa.Column(
            "item",
            sa.String(length=64),
            nullable=True,
            comment="What of its run it is about, such as a digest of a query",
        ),
        sa.Column(
            "started_at", sa.Double(), nullable=False, comment="Unix time, seconds; committed before the call"
        ),
        sa.Column("day", sa.Integer(), nullable=False, comment="Day of its budget: days since 1970, UTC"),
        sa.Column(
            "lost_at",
            sa.Double(),
            nullable=False,
            comment="Unix time from which it is lost if it has not ended",
        ),
        sa.Column("worst_usd", sa.Double(), nullable=False, comment="The most it may cost, USD"),
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
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_own_calls_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_own_calls")),
        comment="Calls that the router makes for itself; inserted before they are sent, changed once",
    )
    op.create_index("ix_own_calls_day", "own_calls", ["router", "purpose", "day"], unique=False)
    op.create_index(
        "ix_own_calls_run",
        "own_calls",
        ["router", "run"],
        unique=False,
        sqlite_where=sa.text("run IS NOT NULL"),
        postgresql_where=sa.text("run IS NOT NULL"),
    )
    op.create_index(
        "ix_own_calls_under_way",
        "own_calls",
        ["router", "lost_at"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_own_calls_under_way",
        table_name="own_calls",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_index(
        "ix_own_calls_run",
        table_name="own_calls",
        sqlite_where=sa.text("run IS NOT NULL"),
        postgresql_where=sa.text("run IS NOT NULL"),
    )
    op.drop_index("ix_own_calls_day", table_name="own_calls")
    op.drop_table("own_calls")
