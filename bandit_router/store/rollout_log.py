"""The decisions of a rollout, with what their branches would have done and the feedback in force."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from bandit_router.policies.rollout import BRANCH, PERIOD, STAGE, Branch
from bandit_router.store.feedback import read_metrics
from bandit_router.store.recent_predictions import latest_id
from bandit_router.store.tables import decisions
from bandit_router.types import Reason

_PAGE = 2_000
_SLACK_S = 60.0  # a stage is logged with each decision, so that a clock may be slow
_JUDGED = (Reason.POLICY.value, Reason.INCUMBENT.value)
_SPEC = re.compile(r"rollout:share=([0-9.e+-]+),(.*)", re.DOTALL)
_COLUMNS: tuple[Any, ...] = (
    *(decisions.c.id, decisions.c.decided_at, decisions.c.policy, decisions.c.signals),
    *(decisions.c.user_id, decisions.c.conversation, decisions.c.costs_usd, decisions.c.cost_weight),
    *(decisions.c.expected_quality, decisions.c.expected_cost_usd),
)


class BranchView(NamedTuple):
    """What a branch makes of a request: the probability of the drawn arm, and what its PMF expects."""

    probability: float
    quality: float
    cost_usd: float


class RolloutDecision(NamedTuple):
    """A decision of a rollout that its policy made, and its metrics.

    ``period`` is None where the branch is of the request alone. ``most_cost_usd`` is the largest cost that is
    expected of an arm. Times are Unix times, seconds.
    """

    decided_at: float
    share: float
    stage: int
    period: int | None
    user: str | None
    conversation: str | None
    branch: Branch
    incumbent: BranchView
    candidate: BranchView
    expected_quality: float
    expected_cost_usd: float
    most_cost_usd: float
    cost_weight: float
    metrics: Mapping[str, float]


def iterate_rollout_decisions(
    connection: Connection, router: str, contest: str, since: float
) -> Iterator[RolloutDecision]:
    """The decisions of rollouts with this contest made since a Unix time, in id order."""
    last = latest_id(since - _SLACK_S)
    while True:
        page = select(*_COLUMNS).where(
            decisions.c.router == router,
            decisions.c.id > last,
            decisions.c.reason.in_(_JUDGED),
        )
        rows = connection.execute(page.order_by(decisions.c.id).limit(_PAGE)).all()
        if not rows:
            return
        last = rows[-1].id
        shares = {row.id: _read_share(row.policy, contest) for row in rows}
        metrics = read_metrics(connection, router, [id for id, share in shares.items() if share is not None])
        for row in rows:
            if (share := shares[row.id]) is not None and STAGE in (row.signals or {}):
                yield _decision_from(row, share, metrics[row.id].values)


@lru_cache(maxsize=256)
def _read_share(spec: str, contest: str) -> float | None:
    """The candidate's share in a policy of this contest; None for any other policy."""
    match = _SPEC.fullmatch(spec)
    return float(match[1]) if match and match[2] == contest else None


def _decision_from(row: Row[Any], share: float, metrics: Mapping[str, float]) -> RolloutDecision:
    signals = row.signals
    incumbent, candidate = (
        BranchView(*(signals[name] for name in (branch.probability, branch.quality, branch.cost_usd)))
        for branch in Branch
    )
    period = signals.get(PERIOD)
    return RolloutDecision(
        decided_at=row.decided_at,
        share=share,
        stage=int(signals[STAGE]),
        period=None if period is None else int(period),
        user=row.user_id,
        conversation=row.conversation,
        branch=Branch(signals[BRANCH]),
        incumbent=incumbent,
        candidate=candidate,
        expected_quality=row.expected_quality,
        expected_cost_usd=row.expected_cost_usd,
        most_cost_usd=max(row.costs_usd),
        cost_weight=row.cost_weight,
        metrics=metrics,
    )
