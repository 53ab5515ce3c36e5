"""Keep API keys, the audit of administrative acts, and the arm that all traffic is pinned to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_keys"
down_revision = "0015_calls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        _router(),
        sa.Column(
            "id",
            sa.String(length=16),
            nullable=False,
            comment="Public part of the key, by which it is looked up",
        ),
        sa.Column("name", sa.String(length=128), nullable=False, comment="What its owner calls it"),
        sa.Column(
            "secret_hash",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of its secret, which is kept nowhere",
        ),
        sa.Column("scopes", sa.JSON(), nullable=False, comment="Sorted list: route, feedback, read, admin"),
        sa.Column(
            "arms", sa.JSON(), nullable=True, comment="Sorted list of the only arms it may call; null: all"
        ),
        sa.Column(
            "usd_per_day", sa.Double(), nullable=True, comment="USD its calls may cost a day; null: no limit"
        ),
        sa.Column(
            "requests_per_second",
            sa.Double(),
            nullable=True,
            comment="Requests each worker answers it; null: no limit",
        ),
        sa.Column(
            "burst",
            sa.Integer(),
            nullable=True,
            comment="Requests that may come at once; null: no limit",
        ),
        sa.Column("created_at", sa.Double(), nullable=False, comment="Unix time, seconds"),
        sa.Column("created_by", sa.Text(), nullable=False, comment="Who created it, as in audit"),
        sa.Column(
            "expires_at",
            sa.Double(),
            nullable=True,
            comment="Unix time from which it is refused; null: never",
        ),
        sa.Column(
            "revoked_at", sa.Double(), nullable=True, comment="Unix time it was revoked; null: it was not"
        ),
        sa.Column(
            "rotated_at",
            sa.Double(),
            nullable=True,
            comment="Unix time of its newest secret; null: it has its first",
        ),
        sa.Column(
            "former_hash",
            sa.String(length=64),
            nullable=True,
            comment="SHA-256 of the secret before; null: no longer valid",
        ),
        sa.Column(
            "former_until",
            sa.Double(),
            nullable=True,
            comment="Unix time until which that one is valid, too",
        ),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_api_keys_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_api_keys")),
        comment="API keys of a router; rows are never deleted: once there is one, every request needs one",
    )
    op.create_table(
        "audit",
        _router(),
        sa.Column("id", sa.String(length=36), nullable=False, comment="UUIDv7"),
        sa.Column("at", sa.Double(), nullable=False, comment="Unix time, seconds"),
        sa.Column("actor", sa.Text(), nullable=False, comment="Who did it: user@host, or the id of a key"),
        sa.Column("act", sa.String(length=32), nullable=False, comment="What was done, such as key_created"),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=True,
            comment="What it was done to: an arm, a key; null: the router",
        ),
        sa.Column("details", sa.JSON(), nullable=True, comment="Its particulars, by name; null: none"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_audit_routers")),
        sa.PrimaryKeyConstraint("router", "id", name=op.f("pk_audit")),
        comment="Administrative acts, inserted in the transaction of the act, never changed",
    )
    op.add_column(
        "routers",
        sa.Column(
            "pinned_arm",
            sa.String(length=128),
            nullable=True,
            comment="Arm that all traffic goes to; null: to the arms that are chosen",
        ),
    )
    op.add_column(
        "routers",
        sa.Column(
            "pinned_until", sa.Double(), nullable=True, comment="Unix time at which that ends by itself"
        ),
    )


def downgrade() -> None:
    op.drop_column("routers", "pinned_until")
    op.drop_column("routers", "pinned_arm")
    op.drop_table("audit")
    op.drop_table("api_keys")


def _router() -> sa.Column[str]:
    return sa.Column(
        "router", sa.String(length=128), nullable=False, comment="Router the row belongs to; the shard key"
    )
