"""Create the log (decisions, feedback), what is folded from it, and the snapshots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_log_and_snapshots"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "routers",
        sa.Column("name", sa.String(length=128), nullable=False, comment="Name of the router"),
        sa.Column(
            "schema_id", sa.Text(), nullable=False, comment="Feature pipeline all its contexts come from"
        ),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="Newest published snapshot"),
        sa.Column(
            "reward_weights",
            sa.JSON(),
            nullable=False,
            comment="Metric weights of the rewards it has counted",
        ),
        sa.Column(
            "arms_revision", sa.BigInteger(), nullable=False, comment="Grows with every change to its arms"
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_routers")),
        comment="One row per router: what is published, and the lock that serialises learners",
    )
    op.create_table(
        "arms",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "name", sa.String(length=128), nullable=False, comment="Name of the arm, unique in its router"
        ),
        sa.Column("provider", sa.String(length=128), nullable=False, comment="Who serves the model"),
        sa.Column("model", sa.Text(), nullable=False, comment="The provider's model id"),
        sa.Column("input_usd_per_mtok", sa.Double(), nullable=False, comment="USD per million input tokens"),
        sa.Column(
            "output_usd_per_mtok", sa.Double(), nullable=False, comment="USD per million output tokens"
        ),
        sa.Column(
            "expected_output_tokens",
            sa.Integer(),
            nullable=False,
            comment="Output tokens assumed for pricing a call",
        ),
        sa.Column(
            "context_window",
            sa.Integer(),
            nullable=True,
            comment="Most tokens the model accepts; null is unlimited",
        ),
        sa.Column("capabilities", sa.JSON(), nullable=False, comment="Sorted list of capability names"),
        sa.Column(
            "enabled", sa.Boolean(), nullable=False, comment="The owner's switch; false is never eligible"
        ),
        sa.Column(
            "declared",
            sa.Boolean(),
            nullable=False,
            comment="Listed and on in router.toml, or added at run time",
        ),
        sa.Column(
            "runtime",
            sa.Boolean(),
            nullable=False,
            comment="Added at run time, so router.toml does not govern it",
        ),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_arms_routers")),
        sa.PrimaryKeyConstraint("router", "name", name=op.f("pk_arms")),
        comment="The models a router can choose; rows are never deleted, so that the log stays readable",
    )
    op.create_table(
        "decisions",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("id", sa.String(length=36), nullable=False, comment="UUIDv7; joins everything"),
        sa.Column("decided_at", sa.Double(), nullable=False, comment="Unix time of the decision, seconds"),
        sa.Column("x", sa.LargeBinary(), nullable=False, comment="Context, little-endian float64"),
        sa.Column("schema_id", sa.Text(), nullable=False, comment="Feature pipeline that made x"),
        sa.Column("eligible", sa.JSON(), nullable=False, comment="Eligible arms; the order of pmf and costs"),
        sa.Column("pmf", sa.JSON(), nullable=False, comment="Probability of each eligible arm; sums to 1"),
        sa.Column("costs_usd", sa.JSON(), nullable=False, comment="Expected cost of each eligible arm, USD"),
        sa.Column("arm", sa.String(length=128), nullable=False, comment="The action: the arm chosen"),
        sa.Column(
            "propensity", sa.Double(), nullable=False, comment="Probability the policy gave the action"
        ),
        sa.Column(
            "reason", sa.String(length=16), nullable=False, comment="Why; only 'policy' rows are exploration"
        ),
        sa.Column(
            "policy",
            sa.Text(),
            nullable=False,
            comment="Policy and its parameters, as parse_policy reads them",
        ),
        sa.Column(
            "snapshot", sa.BigInteger(), nullable=False, comment="Version of the snapshot that was read"
        ),
        sa.Column(
            "cost_weight", sa.Double(), nullable=False, comment="Reward given up to save one dollar, 1/USD"
        ),
        sa.Column(
            "expected_quality", sa.Double(), nullable=False, comment="Posterior mean reward of the action"
        ),
        sa.Column(
            "expected_cost_usd", sa.Double(), nullable=False, comment="Expected cost of the action, USD"
        ),
        sa.Column(
            "conversation", sa.String(length=255), nullable=True, comment="Conversation the caller named"
        ),
        sa.Column(
            "parent",
            sa.String(length=36),
            nullable=True,
            comment="Decision this one follows, such as an escalation",
        ),
        sa.Column(
            "idempotency_key",
            sa.String(length=255),
            nullable=True,
            comment="Key the caller sent with the request",
        ),
        sa.Column(
            "query", sa.Text(), nullable=True, comment="Query text; null unless router.log_queries is on"
        ),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_decisions_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_decisions")),
        comment="The log of choices; rows are never changed, and their ids sort by time",
    )
    op.create_table(
        "idempotency",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "key",
            sa.String(length=255),
            nullable=False,
            comment="Idempotency-Key of a request that was committed",
        ),
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the request; another one is a conflict",
        ),
        sa.Column("answer", sa.JSON(), nullable=False, comment="What was answered, to be answered again"),
        sa.Column("created_at", sa.Double(), nullable=False, comment="Unix time, seconds"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_idempotency_routers")),
        sa.PrimaryKeyConstraint("router", "key", name=op.f("pk_idempotency")),
        comment="Requests that carried a key, inserted in the transaction of their effect",
    )
    op.create_table(
        "snapshots",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="1, 2, 3, … per router"),
        sa.Column("published_at", sa.Double(), nullable=False, comment="Unix time of publication, seconds"),
        sa.Column(
            "posterior",
            sa.LargeBinary(),
            nullable=False,
            comment="bandit_router.snapshot format, checksummed",
        ),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_snapshots_routers")),
        sa.PrimaryKeyConstraint("router", "version", name=op.f("pk_snapshots")),
        comment="Published posteriors; the oldest are pruned",
    )
    op.create_table(
        "feedback",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column("decision_id", sa.String(length=36), nullable=False, comment="Decision it is about"),
        sa.Column(
            "metric",
            sa.String(length=32),
            nullable=False,
            comment="quality, satisfaction, cost_usd, latency_s or error",
        ),
        sa.Column(
            "revision",
            sa.Integer(),
            nullable=False,
            comment="0 for the first value, then 1, 2, …; the largest counts",
        ),
        sa.Column("value", sa.Double(), nullable=True, comment="The value; null retracts the metric"),
        sa.Column("received_at", sa.Double(), nullable=False, comment="Unix time it arrived, seconds"),
        sa.ForeignKeyConstraint(
            ["router", "decision_id"],
            ["decisions.router", "decisions.id"],
            name=op.f("fk_feedback_decisions"),
        ),
        sa.PrimaryKeyConstraint("router", "decision_id", "metric", "revision", name=op.f("pk_feedback")),
        comment="The log of outcomes; rows are only ever added",
    )
    op.create_table(
        "folded",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "decision_id", sa.String(length=36), nullable=False, comment="Decision whose reward is counted"
        ),
        sa.Column("reward", sa.Double(), nullable=False, comment="The reward counted, in [0, 1]"),
        sa.Column(
            "version", sa.BigInteger(), nullable=False, comment="Snapshot that first contained this reward"
        ),
        sa.ForeignKeyConstraint(
            ["router", "decision_id"], ["decisions.router", "decisions.id"], name=op.f("fk_folded_decisions")
        ),
        sa.PrimaryKeyConstraint("router", "decision_id", name=op.f("pk_folded")),
        comment="Exactly what the newest snapshot has counted; changed only in the fold's transaction",
    )
    op.create_table(
        "pending",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        sa.Column(
            "decision_id", sa.String(length=36), nullable=False, comment="Decision of the feedback row"
        ),
        sa.Column("metric", sa.String(length=32), nullable=False, comment="Metric of the feedback row"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="Revision of the feedback row"),
        sa.ForeignKeyConstraint(
            ["router", "decision_id", "metric", "revision"],
            ["feedback.router", "feedback.decision_id", "feedback.metric", "feedback.revision"],
            name=op.f("fk_pending_feedback"),
        ),
        sa.PrimaryKeyConstraint("router", "decision_id", "metric", "revision", name=op.f("pk_pending")),
        comment="One mark per feedback row no learner has looked at; the fold deletes it",
    )


def downgrade() -> None:
    op.drop_table("pending")
    op.drop_table("folded")
    op.drop_table("feedback")
    op.drop_table("snapshots")
    op.drop_table("idempotency")
    op.drop_table("decisions")
    op.drop_table("arms")
    op.drop_table("routers")
