"""Calls on the budget of a key, as the gateway begins and ends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bandit_router.errors import NoEligibleArm
from bandit_router.security.budget import CallBudget, KeySpending
from bandit_router.store.key_ledger import BudgetClaim
from bandit_router.store.store import Store
from bandit_router.store.write_requests import WriteRequest, WriteResult
from bandit_router.types import DIALECT, CallEnd, CallOutcome, Conversation, Decision, Reason
from tests.store.examples import decision
from tests.store.user_log import PRUNED

WORST = {"cheap": 0.25, "dear": 0.75}


@dataclass(frozen=True)
class Uniform:
    """Decides for the first arm that is left, each being as likely."""

    made: Decision
    mask: Mapping[str, str] = field(default_factory=dict)

    def exclude(self, mask: Mapping[str, str]) -> Uniform:
        return replace(self, mask=mask)

    def decide(self) -> Decision:
        left = [arm for arm in ("dear", "cheap") if arm not in self.mask]
        if not left:
            raise NoEligibleArm(self.mask)
        share = 1.0 / len(left)
        changes: dict[str, Any] = {"pmf": (share,) * len(left), "propensity": share}
        changes["expected_costs_usd"] = (0.001,) * len(left)
        return replace(self.made, eligible=tuple(left), arm=left[0], excluded=self.mask, **changes)

    def decide_again(self, conversation: Conversation | None) -> Decision:
        decision = self.decide()
        if conversation is None or conversation.arm not in decision.eligible:
            return decision
        pmf = tuple(float(arm == conversation.arm) for arm in decision.eligible)
        sticky: dict[str, Any] = {"pmf": pmf, "propensity": 1.0, "reason": Reason.STICKY}
        return replace(decision, arm=conversation.arm, **sticky)


def request(store: Store, *, usd_per_day: float = 1.0, key_id: str = "k", **changes: Any) -> WriteRequest:
    """A call now, of "dear" if that may be paid for."""
    usual = {"signals": {DIALECT: "chat"}, "snapshot": PRUNED, "decided_at": store.clock.now()}
    decider = Uniform(decision(**(usual | changes)))
    budget = CallBudget(key_id=key_id, usd_per_day=usd_per_day, worst_usd=WORST)
    claim = BudgetClaim(budget=budget, decider=decider)
    return WriteRequest(payload=decider.decide(), begins_call=True, budget=claim)


def begin(store: Store, **changes: Any) -> WriteResult:
    (answer,) = store.write([request(store, **changes)])
    return answer


def begun(store: Store, **changes: Any) -> Decision:
    answer = begin(store, **changes)
    assert isinstance(answer, Decision), answer
    return answer


def end_of(called: Decision, cost_usd: float) -> CallEnd:
    return CallEnd(decision_id=called.id, outcome=CallOutcome.LOST, cost_usd=cost_usd)


def spending(store: Store, key_id: str = "k") -> tuple[float, float]:
    """What is reserved and spent, USD."""
    today = store.key_spending().get(key_id, KeySpending())
    return today.reserved_usd, today.spent_usd
