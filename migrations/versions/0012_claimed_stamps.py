"""Keep what a wrong clock claimed beside the time that is logged, and know when the log was corrected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_claimed_stamps"
down_revision = "0011_generations"
branch_labels = None
depends_on = None

_CLAIM = "Unix time a clock claimed that was wrong; null: it was right"
_LOGS = ("decisions", "feedback", "escalations")
_BEFORE = "The log of choices; rows are never changed, and their ids sort by time"
_AFTER = "The log of choices; rows never change, but for a stamp ahead; ids sort by time"


def upgrade() -> None:
    corrected_at = "Unix time of a change of the log; null: it is rebuilt since"
    op.add_column("routers", sa.Column("corrected_at", sa.Double(), comment=corrected_at))
    op.add_column("arms", sa.Column("reset_claimed_at", sa.Double(), comment=_CLAIM))
    for table in _LOGS:
        op.add_column(table, sa.Column("claimed_at", sa.Double(), comment=_CLAIM))
        claimed = sa.text("claimed_at IS NOT NULL")
        index = f"ix_{table}_claimed"
        op.create_index(index, table, ["router"], sqlite_where=claimed, postgresql_where=claimed)
    _comment_decisions(_AFTER, _BEFORE)


def downgrade() -> None:
    _comment_decisions(_BEFORE, _AFTER)
    for table in _LOGS:
        op.drop_index(f"ix_{table}_claimed", table_name=table)
        op.drop_column(table, "claimed_at")
    op.drop_column("arms", "reset_claimed_at")
    op.drop_column("routers", "corrected_at")


def _comment_decisions(comment: str, existing: str) -> None:
    if op.get_context().dialect.name == "postgresql":  # SQLite has no comments
        op.create_table_comment("decisions", comment, existing_comment=existing)
