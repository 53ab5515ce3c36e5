"""Let a router be paced by a floor of reward as well as by a budget."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010_floors"
down_revision = "0009_cascade"
branch_labels = None
depends_on = None

_BUDGET: tuple[sa.Column[Any], ...] = (
    sa.Column(
        "budget_usd", sa.Double(), nullable=False, comment="Budget it is paced by; another starts anew"
    ),
    sa.Column("budget_per", sa.String(length=16), nullable=False, comment="request or day"),
)
_GOAL: tuple[sa.Column[Any], ...] = (
    sa.Column(
        "goal", sa.Double(), nullable=False, comment="USD or reward it is paced by; another starts anew"
    ),
    sa.Column(
        "goal_kind",
        sa.String(length=16),
        nullable=False,
        comment="request or day for USD, reward for a floor",
    ),
    sa.Column(
        "weights",
        sa.Text(),
        nullable=False,
        comment="Of a floor: what rewards are made of, JSON; else empty",
    ),
)
_FLOOR: tuple[sa.Column[Any], ...] = (
    sa.Column(
        "earned",
        sa.Double(),
        nullable=False,
        comment="Of a floor: expected rewards, corrected by feedback",
    ),
    sa.Column(
        "excused", sa.Double(), nullable=False, comment="Rewards missing given up, less those beyond it"
    ),
)


def upgrade() -> None:
    rows = _taken_out("SELECT *, budget_usd AS goal, budget_per AS goal_kind FROM spending")
    added = {"weights": "", "earned": 0.0, "excused": 0.0}
    comment = "How a router's goal stands; changed in the transaction of the decision or the feedback"
    _put_back(_spending(_GOAL, _FLOOR, comment), [row | added for row in rows])


def downgrade() -> None:
    rows = _taken_out(
        "SELECT *, goal AS budget_usd, goal_kind AS budget_per FROM spending WHERE goal_kind <> 'reward'"
    )
    comment = "How a router's budget stands; changed in the transaction of the decision or the cost"
    _put_back(_spending(_BUDGET, (), comment), rows)


def _taken_out(statement: str) -> list[dict[str, Any]]:
    """The rows of the table, which is made anew, so that its columns are in order on either database."""
    if op.get_context().dialect.name == "postgresql":  # a worker may be booking
        op.execute("LOCK TABLE spending IN ACCESS EXCLUSIVE MODE")
    rows = [dict(row) for row in op.get_bind().execute(sa.text(statement)).mappings()]
    op.drop_table("spending")
    return rows


def _put_back(table: sa.Table, rows: list[dict[str, Any]]) -> None:
    names = [column.name for column in table.columns]
    if rows:
        op.bulk_insert(table, [{name: row[name] for name in names} for row in rows])


def _spending(goal: tuple[sa.Column[Any], ...], floor: tuple[sa.Column[Any], ...], comment: str) -> sa.Table:
    return op.create_table(
        "spending",
        sa.Column(
            "router",
            sa.String(length=128),
            nullable=False,
            comment="Router the row belongs to; the shard key",
        ),
        *goal,
        sa.Column(
            "since",
            sa.Double(),
            nullable=False,
            comment="Unix time of the start, seconds; older decisions are out",
        ),
        sa.Column("requests", sa.BigInteger(), nullable=False, comment="Decisions booked"),
        sa.Column("allowance_usd", sa.Double(), nullable=False, comment="What they might spend, USD"),
        sa.Column(
            "spent_usd",
            sa.Double(),
            nullable=False,
            comment="Expected costs, corrected by those reported, USD",
        ),
        sa.Column(
            "forgone_usd", sa.Double(), nullable=False, comment="Allowance that lay unused for too long, USD"
        ),
        *floor,
        sa.Column(
            "pressure",
            sa.Double(),
            nullable=False,
            comment="Logarithm of the price of a dollar, as paced so far",
        ),
        sa.Column("as_of", sa.Double(), nullable=False, comment="Unix time of the last change, seconds"),
        sa.ForeignKeyConstraint(["router"], ["routers.name"], name=op.f("fk_spending_routers")),
        sa.PrimaryKeyConstraint("router", name=op.f("pk_spending")),
        comment=comment,
    )
