"""The nouns of bandit-router: plain, frozen values that every room passes around."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Literal, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

DecisionId = str | UUID
"""The id of a decision as callers may have it: text in any form of a UUID, or a UUID."""

Number = float | Decimal | Fraction | np.floating[Any] | np.integer[Any]
"""A real number as callers may have it."""

Signals = Mapping[str, float | str]
"""Signals of a query by name, besides its context: the user's tier, the score of rules."""

NO_SIGNALS: Signals = {}

TIER = "tier"
"""The signal that callers send: the user's tier. Without it the user has no tier."""

WILL_BE_RATED = "will_be_rated"
"""The signal that callers send where a coin or a panel decided beforehand which answers are rated: 1 or 0."""

RATED_SHARE = "rated_share"
"""The signal that a decision has of its snapshot: the share of answers that are rated; absent if all are."""

SAFETY_SHARE = "safety_share"
"""The signal of a policy bound to a baseline: the share of traffic that it decides by itself."""

TASKS_APART = 64
"""How many tasks a router learns apart, in the order they first appeared; their numbers begin with 0."""

OTHER_TASKS = TASKS_APART
"""The number that all further tasks share."""

NO_TASK = -1
"""The number of a query whose task is not known."""

INCUMBENT = "incumbent"
"""The signal of the arm that the caller says it would have used."""

CONFIDENCE = "confidence"
"""The confidence of the model in its first answer to a query: a metric of that decision and of the retry."""

JUDGED = "judged"
"""The metric that a model writes which judges answers."""

JUDGED_PROBABILITY = "judged_probability"
"""The signal of the probability with which a coin decided, before the choice, to have the answer judged."""

WILL_BE_JUDGED = "will_be_judged"
"""The signal of what that coin said: 1 or 0."""

OR_ELSE = "|"
"""Between the metrics of one key of reward weights: the first that is present counts."""

METRICS: Mapping[str, float] = {
    "quality": 1.0,
    "satisfaction": 1.0,
    "error": 1.0,
    "cost_usd": 1e6,
    "latency_s": 1e6,
    "override": 1.0,
    CONFIDENCE: 1.0,
    "ttft_s": 1e6,
    "refusal": 1.0,
    "truncated": 1.0,
    "empty": 1.0,
    "invalid_json": 1.0,
    "tool_error": 1.0,
    "regenerated": 1.0,
    "abandoned": 1.0,
    JUDGED: 1.0,
}
"""Every metric of ours and the largest value it may have; the smallest is 0."""


class Scale(NamedTuple):
    """The numbers a rating can be, from the worst to the best: 1 to 5 stars, −1 and 1, 0 to 100."""

    low: float
    high: float

    def normalize(self, rating: float) -> float:
        """The rating as a share of the scale, in [0, 1]."""
        return min(1.0, max(0.0, (rating - self.low) / (self.high - self.low)))


DIALECT = "dialect"
"""The signal of a decision of the gateway: the form of HTTP API that its client speaks."""


class Need(StrEnum):
    """A capability that a prompt shows a need for, by its parts, its tools or the format it asks for."""

    VISION = "vision"
    DOCUMENTS = "documents"
    AUDIO = "audio"
    TOOLS = "tools"
    JSON = "json"


NEEDS = "needs"
"""The signal that names the needs of a prompt, separated by commas; left out if there are none."""


class DialectName(StrEnum):
    """The HTTP form that a client or an arm speaks."""

    CHAT = "chat"
    RESPONSES = "responses"
    MESSAGES = "messages"


class Reason(StrEnum):
    """Why a decision has the action it has. Only ``POLICY`` rows are exploration."""

    POLICY = "policy"
    OVERRIDE = "override"
    STICKY = "sticky"
    WORKFLOW = "workflow"
    TIER = "tier"
    GREEDY = "greedy"
    INCUMBENT = "incumbent"
    ESCALATION = "escalation"
    FALLBACK = "fallback"
    DEGRADED = "degraded"
    PROMOTION = "promotion"
    PINNED = "pinned"


class TrafficPin(NamedTuple):
    """The arm that the owner has all traffic go to, until a Unix time, seconds."""

    arm: str
    until: float


class RolloutStage(NamedTuple):
    """A stage of a rollout: the share of traffic that the candidate has since a Unix time, seconds.

    Stages count 1, 2, 3, … per router. ``aborted`` says that the share was taken back in an emergency.
    """

    id: int
    share: float
    since: float
    aborted: bool = False


class Outcome(StrEnum):
    """How one metric of one feedback call was recorded."""

    RECORDED = "recorded"
    REVISED = "revised"
    RETRACTED = "retracted"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A routable model: provider, model, prices, limits and capabilities.

    An arm without capabilities says nothing of them: any prompt may go to it.
    """

    name: str
    provider: str
    model: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    expected_output_tokens: int = 300
    context_window: int | None = None
    capabilities: frozenset[str] = frozenset()
    enabled: bool = True

    @property
    def label(self) -> str:
        """Provider and model as people write them: "openai/gpt-4o", and no provider twice."""
        has_provider = self.model.startswith(f"{self.provider}/")
        return self.model if has_provider else f"{self.provider}/{self.model}"

    def expected_cost_usd(self, input_tokens: int) -> float:
        """USD for one call: prices per million tokens times tokens in and expected out."""
        return (
            self.input_usd_per_mtok * input_tokens + self.output_usd_per_mtok * self.expected_output_tokens
        ) / 1e6

    def unmet_needs(self, needs: Collection[str]) -> list[str]:
        """The needs of a prompt that are not among the arm's capabilities; none if it states no capability.

        Models with vision read documents, too: providers show them the pages.
        """
        if not needs or not self.capabilities:
            return []
        met = self.capabilities | {Need.DOCUMENTS} if Need.VISION in self.capabilities else self.capabilities
        return [need for need in needs if need not in met]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one call by kind. Input excludes what was read from or written to a cache.

    Reasoning is part of the output, and writes that a cache keeps for an hour are part of its writes.
    ``service_tier`` is the provider's, where it has another price.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    service_tier: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A query to answer.

    ``text`` is the newest user message with text, empty if none has any, ``turn`` its number in the
    conversation (from 1) and ``prompt_chars`` the characters of all texts sent with it.
    """

    text: str
    turn: int = 1
    user_tier: str | None = None
    prompt_chars: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The USD that may be spent per request on average, or per day."""

    usd: float
    per: Literal["request", "day"] = "request"


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """The mean reward, in (0, 1), that answers must reach, made from feedback with these weights."""

    reward: float
    weights: Mapping[str, float] = field(default_factory=lambda: {"quality": 1.0})


Goal = Budget | Floor
"""What limits spending: a budget, or the least spending that reaches a floor."""


class Scores(NamedTuple):
    """The input of a policy: the k eligible arms. All vectors have shape (k,).

    ``mean`` and ``std`` describe the posterior of each arm's reward at the context ``x`` (d,);
    ``cost_usd`` is the expected cost; ``utility`` is ``mean - cost_weight * cost_usd``. ``signals`` are read
    by hand-written policies. ``counted`` is the number of rewards behind ``mean`` and ``std``, with those a
    warm start is worth; None if all arms are established.
    """

    arms: tuple[str, ...]
    x: FloatArray
    mean: FloatArray
    std: FloatArray
    cost_usd: FloatArray
    utility: FloatArray
    signals: Signals = NO_SIGNALS
    counted: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One logged choice. ``eligible``, ``pmf`` and ``expected_costs_usd`` share one order.

    ``list_cost_usd`` is the action's cost by the price list, before the learned correction. ``user`` is the
    caller's user as the log has it: a keyed hash, unless ids are kept in clear.
    ``signals`` are those of the query, ``excluded`` says why other arms were not eligible. ``claimed_at`` is
    the time that the clock of the host claimed, None if that was right. ``key_id`` is the API key of the
    request, ``task`` the number of its task. ``greedy_utility`` is the largest utility of an eligible arm,
    None where that is not known.
    """

    id: str
    decided_at: float
    x: FloatArray
    schema_id: str
    eligible: tuple[str, ...]
    pmf: tuple[float, ...]
    expected_costs_usd: tuple[float, ...]
    arm: str
    propensity: float
    reason: Reason
    policy: str
    snapshot: int
    cost_weight: float
    expected_quality: float
    expected_cost_usd: float
    list_cost_usd: float | None = None
    conversation: str | None = None
    parent: str | None = None
    idempotency_key: str | None = None
    query: str | None = None
    user: str | None = None
    signals: Signals = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    claimed_at: float | None = None
    key_id: str | None = None
    task: int = NO_TASK
    greedy_utility: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Feedback:
    """Metrics attached to a decision; a value of None retracts that metric.

    ``claimed_at`` is what a wrong clock said instead of ``received_at``.
    """

    decision_id: str
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    received_at: float
    idempotency_key: str | None = None
    claimed_at: float | None = None


class CallOutcome(StrEnum):
    """How a call of the gateway ended."""

    ANSWERED = "answered"
    FAILED = "failed"  # before the answer began
    CUT = "cut"  # after it began, by upstream
    LEFT = "left"  # by the client
    LOST = "lost"  # with the worker that made it


@dataclass(frozen=True, kw_only=True, slots=True)
class CallResult:
    """How a call ended.

    ``ttft_s`` and ``latency_s`` are seconds from the start to the first content and to the end, None without
    one. ``cost_reported`` says that the cost follows from the usage that upstream reported; else it is an
    estimate.
    """

    outcome: CallOutcome
    cost_usd: float
    cost_reported: bool = False
    ttft_s: float | None = None
    latency_s: float | None = None
    status: int | None = None
    usage: Usage | None = None
    served_model: str | None = None
    request_id: str | None = None
    answer_id: str | None = None
    finish: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CallEnd(CallResult):
    """The end of the call that a decision's arm was asked to answer with.

    ``feedback`` is what the call says of its decision, logged with the end.
    """

    decision_id: str
    feedback: Feedback | None = None


class Purpose(StrEnum):
    """What a call of the router's own is for."""

    LABEL = "label"
    JUDGE = "judge"
    SELF_CHECK = "self_check"
    SAMPLE = "sample"


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """A conversation under way: the arm it keeps, and ``choice``, the decision that chose that arm.

    ``promoted`` says that the one change of arm has been made. Times are Unix times, seconds; ``seen_at`` is
    that of the newest decision.
    """

    id: str
    arm: str
    choice: str
    promoted: bool = False
    started_at: float
    seen_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Escalation:
    """The outcome for the answer of the decision ``parent``: accepted, or retried by ``decision``.

    ``p_good`` is the expected reward of that answer given the ``confidence`` in it, ``p_retry_good`` that of
    a retry, None if no retry was possible; ``propensity`` is the probability of the outcome. ``claimed_at``
    is what a wrong clock said instead of ``asked_at``.
    """

    parent: str
    asked_at: float
    confidence: float
    p_good: float
    p_retry_good: float | None
    propensity: float
    snapshot: int
    why: str
    decision: Decision | None = None
    claimed_at: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether the answer is to be kept."""
        return self.decision is None
