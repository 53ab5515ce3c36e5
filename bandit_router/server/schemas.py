"""The bodies of the HTTP API, strict: no coercion, no unknown fields, no NaN."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bandit_router.types import METRICS, Outcome, Reason

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class RouteBody(BaseModel):
    """What to route: exactly one of query, messages and features."""

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
    messages: list[dict[str, Any]] | None = Field(None, description="Chat messages: role and content.")
    features: list[float] | None = Field(None, description="Your own context: d − 1 numbers, no bias.")
    user_tier: str | None = Field(None, description="Tier of the user, such as premium or free.")
    cost_weight: float | None = Field(None, description="Reward given up to save one dollar, 1/USD.")
    max_cost_usd: float | None = Field(None, description="Most the call may be expected to cost, USD.")
    min_quality: float | None = Field(
        None, description="Reward a model must be expected to reach; the best is never left out."
    )
    require: list[str] = Field(default_factory=list, description="Capabilities the model must have.")
    arms: list[str] | None = Field(None, description="The only arms acceptable.")
    conversation: str | None = Field(None, description="Your id of the conversation; logged.")

    @model_validator(mode="after")
    def _one_source(self) -> RouteBody:
        if sum(source is not None for source in (self.query, self.messages, self.features)) != 1:
            raise ValueError("send exactly one of query, messages and features")
        return self


class RouteAnswer(BaseModel):
    """Which model, and why."""

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


_METRIC_EXAMPLE: Any = {
    "decision_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "metrics": {"quality": 0.9, "cost_usd": 0.00042, "latency_s": 1.3},
}


class FeedbackBody(BaseModel):
    """One or many metrics of one decision; null takes a metric back."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"examples": [_METRIC_EXAMPLE]})

    decision_id: str
    metrics: Annotated[
        dict[str, float | None],
        Field(min_length=1, description=f"Any of {', '.join(METRICS)}; null retracts."),
    ]


class FeedbackAnswer(BaseModel):
    """What became of each metric."""

    decision_id: str
    outcomes: dict[str, Outcome]


class ArmScore(BaseModel):
    """One eligible arm as the policy saw it; scores are null when the snapshot is pruned."""

    arm: str
    probability: float
    expected_cost_usd: float
    mean: float | None
    std: float | None
    utility: float | None


class DecisionAnswer(RouteAnswer):
    """A logged decision: everything it was made from, and the feedback so far."""

    decided_at: float = Field(description="Unix time, seconds.")
    schema_id: str
    cost_weight: float
    eligible: list[ArmScore]
    conversation: str | None
    parent: str | None
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


class Problem(BaseModel):
    """RFC 9457 problem details; ``errors`` names each field at fault."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None
