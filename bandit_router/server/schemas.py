"""The bodies of the HTTP API; those of requests are strict: no coercion, no unknown fields, no NaN."""

from __future__ import annotations

from typing import Annotated, Any, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model, model_validator

from bandit_router.features import PromptSource
from bandit_router.problems import KINDS
from bandit_router.router.options import CONTEXT_AND_KEY, RouteOptions, describe_options
from bandit_router.types import CONFIDENCE, METRICS, Outcome, Reason

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_MOST_ITEMS = 10_000  # each wrong item is an error that pydantic keeps


_UNCHECKED_LISTS = frozenset({"messages", "input", "system", "tools", "functions"})
"""Lists whose items pydantic takes as they are; ``read_prompt`` stops at the first wrong one."""


class RouteQuery(BaseModel):
    """A query to route: exactly one of query, messages, input, request and features.

    With messages or input, send the rest of what the provider would get: it counts as tokens, and says what
    the model must be able to do.
    """

    model_config = _STRICT | ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "Prove that there are infinitely many primes.", "cost_weight": 20.0},
                {
                    "messages": [{"role": "user", "content": "What is the capital of France?"}],
                    "user_tier": "free",
                    "require": ["tools"],
                },
            ]
        }
    )

    query: str | None = Field(None, description="The text of the query.")
    messages: list[Any] | None = Field(
        None, description="Messages of chat completions or of Anthropic: role and content."
    )
    input: str | list[Any] | None = Field(None, description="Input of OpenAI's responses: text or items.")
    system: str | list[Any] | None = Field(None, description="Anthropic's system prompt.")
    instructions: str | None = Field(None, description="Instructions of OpenAI's responses.")
    tools: list[Any] | None = Field(None, description="Definitions of tools, in any provider's form.")
    functions: list[Any] | None = Field(
        None, description="Definitions of functions, the older form of tools."
    )
    response_format: dict[str, Any] | None = Field(
        None, description="Format of the answer: chat completions."
    )
    text: dict[str, Any] | None = Field(None, description="Format of the answer: responses.")
    request: dict[str, Any] | None = Field(
        None, description="All of what the provider would get, in any dialect, whatever its fields."
    )
    features: list[float] | None = Field(None, description="Your own context: d − 1 numbers, no bias.")

    @model_validator(mode="before")
    @classmethod
    def _few_items(cls, body: Any) -> Any:
        for name, value in body.items():
            if isinstance(value, list) and len(value) > _MOST_ITEMS and name not in _UNCHECKED_LISTS:
                raise ValueError(f"{name} has {len(value)} items; send at most {_MOST_ITEMS}")
        return body

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = ("query", "messages", "input", "request", "features")
        given = [name for name in sources if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"send exactly one of {', '.join(sources[:-1])} and {sources[-1]}")
        beside = [name for name in RouteQuery.model_fields if name not in sources and getattr(self, name)]
        if beside and given[0] in ("query", "request", "features"):
            raise ValueError(f"send {beside[0]} with messages or input, not with {given[0]}")
        return self

    def prompt(self) -> PromptSource | None:
        """What :meth:`Router.route` takes as the query; messages alone as the list they are."""
        if self.request is not None:
            return self.request
        if self.messages is None and self.input is None:
            return self.query
        fields = {name: getattr(self, name) for name in RouteQuery.model_fields}
        given = {name: value for name, value in fields.items() if value is not None}
        return self.messages if given.keys() == {"messages"} else given

    def options(self) -> RouteOptions:
        """The options that the body has, as :meth:`Router.route` takes them."""
        sent = self.model_fields_set - (RouteQuery.model_fields.keys() - {"features"})
        return cast(RouteOptions, {name: getattr(self, name) for name in sent})


_OPTIONS: dict[str, Any] = {
    name: (kind, Field(None if type(None) in get_args(kind) else (), description=description))
    for name, (kind, description) in describe_options().items()
    if name not in CONTEXT_AND_KEY
}
RouteBody = create_model("RouteBody", __base__=RouteQuery, __doc__=RouteQuery.__doc__, **_OPTIONS)
"""The query with every option of a route call."""


class RouteAnswer(BaseModel):
    """The model to call, and why."""

    decision_id: str = Field(description="Send feedback to this id.")
    arm: str
    provider: str
    model: str
    propensity: float = Field(description="Probability with which this arm was chosen.")
    reason: Reason
    policy: str
    snapshot: int
    expected_quality: float
    expected_cost_usd: float
    pmf: dict[str, float] = Field(description="Probability of every eligible arm.")
    excluded: dict[str, str] = Field(description="Why each other arm was not eligible.")


_FEEDBACK = [name for name in METRICS if name != CONFIDENCE]
_METRIC_EXAMPLE: Any = {
    "decision_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "metrics": {"quality": 0.9, "cost_usd": 0.00042, "latency_s": 1.3},
}


Rating = Annotated[
    Any,  # checked by the router, as every metric is: an error of a union would name its members
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]}),
]


class FeedbackBody(BaseModel):
    """Metrics of one decision, or of the decision that chose the arm of a conversation."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"examples": [_METRIC_EXAMPLE]})

    decision_id: str | None = Field(
        None, description="The decision, or the id of an answer of the gateway: chatcmpl-…, resp_… or msg_…."
    )
    metrics: Annotated[
        dict[str, Rating],
        Field(
            min_length=1,
            description=f"Any of {', '.join(_FEEDBACK)}, or those of your own under [metrics]; "
            "true and false are 1 and 0; null retracts.",
        ),
    ]
    conversation: str | None = Field(None, description="Send this or decision_id.")


class FeedbackAnswer(BaseModel):
    """The outcome of each metric."""

    decision_id: str = Field(description="The decision it was recorded on.")
    outcomes: dict[str, Outcome]


class ArmScore(BaseModel):
    """One eligible arm as the policy scored it; scores are null when the snapshot is pruned."""

    arm: str
    probability: float
    expected_cost_usd: float
    mean: float | None
    std: float | None
    utility: float | None


class LinkAnswer(BaseModel):
    """A decision that another follows, or that follows another."""

    decision_id: str
    arm: str
    reason: Reason


class ConversationAnswer(BaseModel):
    """The state of a conversation now."""

    id: str
    arm: str = Field(description="The arm it keeps.")
    choice: str = Field(description="Decision that chose it, which gets the conversation's feedback.")
    promoted: bool
    started_at: float
    seen_at: float


class DecisionAnswer(RouteAnswer):
    """A logged decision with its inputs, its chain and its feedback so far."""

    why: str = Field(description="The reason in a sentence.")
    decided_at: float = Field(description="Unix time, seconds.")
    claimed_at: float | None = Field(description="What a wrong clock said instead; null if none was wrong.")
    schema_id: str
    cost_weight: float
    eligible: list[ArmScore]
    signals: dict[str, float | str]
    user: str | None = Field(description="The user, as a keyed hash unless router.log_users is on.")
    task: str | None = Field(description="The name of its task; null if none is known.")
    conversation: str | None
    standing: ConversationAnswer | None
    parent: str | None
    parents: list[LinkAnswer] = Field(description="The decisions it follows, oldest first.")
    children: list[LinkAnswer] = Field(description="The decisions that follow it.")
    metrics: dict[str, float]


class ArmAnswer(BaseModel):
    """A routable model."""

    name: str
    provider: str
    model: str
    enabled: bool
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    expected_output_tokens: int
    context_window: int | None
    capabilities: list[str]
    rewards_counted: int = Field(description="Rewards the posterior in use has counted.")
    p50_latency_s: float | None = Field(description="Median of the latencies reported, seconds.")
    p95_latency_s: float | None = Field(description="95th percentile of the latencies reported, seconds.")


class EscalateBody(BaseModel):
    """How sure the model is of its answer. The answer itself is not sent: none of it may reach the retry."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={"examples": [{"confidence": 0.62}, {"confidence": 0.62, "deadline_s": 5.0}]}
    )

    confidence: float = Field(description="How sure the model is of its answer, from 0 to 1.")
    deadline_s: float | None = Field(None, description="Seconds, from the first decision, to have an answer.")


class RetryAnswer(RouteAnswer):
    """The model to send the original query to, without the answer."""

    parent: str = Field(description="The decision whose answer was not good enough.")


class EscalateAnswer(BaseModel):
    """Whether to accept an answer, or else the decision that retries the query."""

    decision_id: str = Field(description="The decision whose answer was judged.")
    accept: bool
    confidence: float
    p_good: float = Field(description="Expected reward of the answer, given the confidence.")
    p_retry_good: float | None = Field(description="Expected reward of a retry; null when there can be none.")
    propensity: float = Field(description="Probability of accepting or retrying, as was done.")
    why: str
    retry: RetryAnswer | None = Field(description="Null when the answer is accepted.")


class ChainAnswer(BaseModel):
    """The calls of one query, added up; null unless feedback reported it for every call."""

    decision_ids: list[str]
    expected_cost_usd: float
    cost_usd: float | None
    latency_s: float | None


class ProblemDetails(BaseModel):
    """RFC 9457 problem details; ``errors`` names each field at fault.

    An error that has a ``code`` has members of its own: those of ``invalid_input`` are field, problem and
    fix, of ``no_eligible_arm`` it is excluded, of others the id or the key at fault.
    """

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str
    code: str | None = Field(None, description=f"One of {', '.join(kind.code for kind in KINDS)}.")
    errors: list[dict[str, str]] | None = None
