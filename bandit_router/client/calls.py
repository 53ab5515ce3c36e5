"""Calls of the service, made from the arguments of the library's methods.

A call may be sent again: those that write have an idempotency key, and an answer is judged once in any case.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bandit_router.client.answers import (
    ExplainedDecision,
    JudgedAnswer,
    RoutedChain,
    RoutedDecision,
    read_arms,
    read_chain,
    read_decision,
    read_explanation,
    read_goal_status,
    read_judged_answer,
    read_outcomes,
    read_safety_status,
)
from bandit_router.errors import InvalidInput, UnknownDecision
from bandit_router.features import Prompt, PromptSource
from bandit_router.objective.pacing import GoalStatus
from bandit_router.objective.safety import SafetyStatus
from bandit_router.router.options import RouteOptions, check_one_source, check_option_names, given_options
from bandit_router.types import Arm, Decision, DecisionId, Number, Outcome
from bandit_router.validation import KEY_CHARS, check_text, read_id, to_json_type

T = TypeVar("T")

_IN_A_HEADER = re.compile(r"[!-~]([ -~]*[!-~])?")
_IN_A_PATH = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[T]):
    """One request of the service, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: str | None = None
    idempotency_key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are the call's own."""
        headers = {} if self.body is None else {"content-type": "application/json"}
        return (
            headers if self.idempotency_key is None else headers | {"idempotency-key": self.idempotency_key}
        )


def make_route_call(source: PromptSource | None, options: RouteOptions) -> Call[RoutedDecision]:
    """The call of :meth:`Router.route`. Raises InvalidInput."""
    check_option_names(options)
    check_one_source(source, options)
    members = given_options(options)
    key = _check_key(members.pop("idempotency_key", None))
    if (replaced := members.get("instead_of")) is not None:
        members["instead_of"] = read_id(replaced, "instead_of")
    body = encode_members({**_name_source(source), **members})
    return Call(method="POST", path="v1/route", read=read_decision, body=body, idempotency_key=key)


def make_feedback_call(
    decision_id: DecisionId | None,
    conversation: str | None,
    idempotency_key: str | None,
    metrics: Mapping[str, Number | None],
) -> Call[dict[str, Outcome]]:
    """The call of :meth:`Router.feedback`. Raises InvalidInput."""
    key = _check_key(idempotency_key)
    id = decision_id if decision_id is None or isinstance(decision_id, str) else read_id(decision_id)
    subject = {"decision_id": id, "conversation": conversation}
    said = encode_members(given_options(subject))[:-1]
    body = f'{said}{", " if said != "{" else ""}"metrics": {encode_members(metrics, "metrics.")}}}'
    return Call(method="POST", path="v1/feedback", read=read_outcomes, body=body, idempotency_key=key)


def make_escalate_call(
    decision: RoutedDecision | Decision | DecisionId, confidence: float, deadline_s: float | None
) -> Call[JudgedAnswer]:
    """The call of :meth:`Router.escalate`. Raises InvalidInput, or UnknownDecision."""
    id = _read_id_in_path(decision.id if isinstance(decision, RoutedDecision | Decision) else decision)
    body = encode_members(given_options({"confidence": confidence, "deadline_s": deadline_s}))
    return Call(method="POST", path=f"v1/decisions/{id}/escalate", read=read_judged_answer, body=body)


def make_budget_call() -> Call[GoalStatus]:
    """The call of :meth:`Router.budget`."""
    return Call(method="GET", path="v1/budget", read=read_goal_status)


def make_safety_call() -> Call[SafetyStatus]:
    """The call of :meth:`Router.safety`."""
    return Call(method="GET", path="v1/safety", read=read_safety_status)


def make_explain_call(decision_id: DecisionId) -> Call[ExplainedDecision]:
    """The call of :meth:`Router.explain`. Raises InvalidInput, or UnknownDecision."""
    return Call(method="GET", path=f"v1/decisions/{_read_id_in_path(decision_id)}", read=read_explanation)


def make_chain_call(decision_id: DecisionId) -> Call[RoutedChain]:
    """The call of :meth:`Router.chain`. Raises InvalidInput, or UnknownDecision."""
    return Call(method="GET", path=f"v1/decisions/{_read_id_in_path(decision_id)}/chain", read=read_chain)


def make_arms_call() -> Call[tuple[Arm, ...]]:
    """The call for :attr:`Router.arms`."""
    return Call(method="GET", path="v1/arms", read=read_arms)


def encode_members(members: Mapping[str, Any], prefix: str = "") -> str:
    """The members as a JSON object, with numbers and arrays of any library. Raises InvalidInput for each."""
    texts = []
    for name, value in members.items():
        try:
            text = json.dumps(value, allow_nan=False, default=to_json_type)
        except (TypeError, ValueError, RecursionError):
            raise InvalidInput(
                f"{prefix}{name}", "holds what JSON cannot", "send text, finite numbers and lists"
            ) from None
        texts.append(f"{json.dumps(name)}: {text}")
    return "{" + ", ".join(texts) + "}"


def _read_id_in_path(decision_id: DecisionId) -> str:
    """The id, which leads to no other path. Raises InvalidInput, or UnknownDecision."""
    id = read_id(decision_id)
    if not _IN_A_PATH.fullmatch(id):
        raise UnknownDecision(id)
    return id


def _name_source(source: PromptSource | None) -> dict[str, Any]:
    """The source of a query under the name that the service has for its form. Raises InvalidInput."""
    if source is None:
        return {}
    if isinstance(source, str):
        return {"query": source}
    if isinstance(source, Prompt):
        raise InvalidInput("query", "was read before", "send the text, messages or request it was read from")
    return {"request" if isinstance(source, Mapping) else "messages": source}


def _check_key(key: str | None) -> str:
    """The caller's idempotency key, or a new one. Raises InvalidInput."""
    if key is None:
        return str(uuid.uuid4())  # from the system, so that forked processes never draw the same
    check_text("idempotency_key", key, KEY_CHARS)
    if not _IN_A_HEADER.fullmatch(key):
        raise InvalidInput(
            "idempotency_key", "has characters that no header can carry", "use visible ASCII characters"
        )
    return key
