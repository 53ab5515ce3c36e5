"""Log the users of decisions, and find all that is of one, so that it can be forgotten."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0017_users"
down_revision = "0016_keys"
branch_labels = None
depends_on = None

_FORGOTTEN = "The part of it that is of users who were forgotten, and is not in the log"


def upgrade() -> None:
    op.add_column(
        "routers",
        sa.Column(
            "user_secret",
            sa.String(length=64),
            nullable=True,
            comment="Key of the hashes of users, hexadecimal",
        ),
    )
    routers = sa.table("routers", sa.column("name"), sa.column("user_secret"))
    connection = op.get_bind()
    for name in connection.scalars(sa.select(routers.c.name)).all():
        row = sa.update(routers).where(routers.c.name == name)
        connection.execute(row.values(user_secret=secrets.token_hex(32)))
    op.add_column(
        "decisions",
        sa.Column(
            "user_id",
            sa.String(length=256),
            nullable=True,
            comment="User the caller named: a keyed hash, in clear if router.log_users is on",
        ),
    )
    op.add_column(
        "idempotency",
        sa.Column(
            "decision_id",
            sa.String(length=36),
            nullable=True,
            comment="Decision that was made, or that feedback was on; null: an older row",
        ),
    )
    _create_index("ix_decisions_user", "decisions", "user_id")
    _create_index("ix_idempotency_decision", "idempotency", "decision_id")
    for name, kind in (
        ("forgotten_requests", sa.BigInteger()),
        ("forgotten_usd", sa.Double()),
        ("forgotten_earned", sa.Double()),
    ):
        column = sa.Column(name, kind, nullable=False, server_default="0", comment=_FORGOTTEN)
        op.add_column("spending", column)


def downgrade() -> None:
    for name in ("forgotten_earned", "forgotten_usd", "forgotten_requests"):
        op.drop_column("spending", name)
    op.drop_index("ix_idempotency_decision", table_name="idempotency")
    op.drop_index("ix_decisions_user", table_name="decisions")
    op.drop_column("idempotency", "decision_id")
    op.drop_column("decisions", "user_id")
    op.drop_column("routers", "user_secret")


def _create_index(name: str, table: str, column: str) -> None:
    has_value = sa.column(column).is_not(None)
    op.create_index(name, table, ["router", column], sqlite_where=has_value, postgresql_where=has_value)
