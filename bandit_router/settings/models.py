"""What settings may say: one model per table of router.toml, each key with its type, default and meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bandit_router.errors import InvalidInput
from bandit_router.types import CONFIDENCE, METRICS, Arm, Budget, Floor, Goal

ENV_PREFIX = "BANDIT_ROUTER_"
MOST_RULES = 5
RULE_CONDITIONS = ("longer_than", "keywords", "tier", "follow_up", "pattern")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/@:+-]*$", max_length=128)]
Keyword = Annotated[str, Field(min_length=1, max_length=128, pattern=r"\S")]
Positive = Annotated[float, Field(ge=1e-6, le=1e9, allow_inf_nan=False)]  # so that squares are too
Dollars = Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Level = Annotated[float, Field(gt=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RouterSection(_Section):
    name: Name = Field("default", description="Routers with different names share nothing.")
    cost_weight: NonNegative = Field(0.0, description="Reward given up to save one dollar, 1/USD.")
    log_queries: bool = Field(False, description="Store the query text with each decision.")
    min_quality: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Models that are not expected to reach this reward for a query are left out."
    )
    deadline_level: Level = Field(0.95, description="How often a request's deadline_s must be met.")


class PolicySection(BaseModel):
    """The name of a policy; every other key is a parameter of that policy."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = "tempered"

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class ArmSection(_Section):
    name: Name
    provider: Name = "openai"
    model: str = Field("", max_length=256, description="The provider's model id; the arm's name if empty.")
    input_usd_per_mtok: NonNegative
    output_usd_per_mtok: NonNegative
    expected_output_tokens: Annotated[int, Field(ge=0, le=10_000_000)] = 300
    context_window: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    capabilities: tuple[Name, ...] = ()
    enabled: bool = True
    expected_quality: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="Reward expected of this arm before any feedback; if left out, see [posterior].",
    )

    def arm(self) -> Arm:
        return Arm(
            name=self.name,
            provider=self.provider,
            model=self.model or self.name,
            input_usd_per_mtok=self.input_usd_per_mtok,
            output_usd_per_mtok=self.output_usd_per_mtok,
            expected_output_tokens=self.expected_output_tokens,
            context_window=self.context_window,
            capabilities=frozenset(self.capabilities),
            enabled=self.enabled,
        )


class FeaturesSection(_Section):
    embedding: Literal["wordllama", "none", "vector"] = "wordllama"
    embedding_dim: Literal[64, 128, 256] = 64
    max_chars: Annotated[int, Field(ge=64, le=1_000_000)] = 4096
    vector_dim: Annotated[int, Field(ge=1, le=4096)] | None = None


class PosteriorSection(_Section):
    model: Literal["hierarchical", "independent"] = "hierarchical"
    prior_mean: Annotated[float, Field(ge=0, le=1)] = 0.7
    price_slope: Annotated[float, Field(ge=-1, le=1)] = Field(
        0.0,
        description="What a model of ten times the price is expected to be better by.",
    )
    prior_std: Positive = 0.3
    arm_std: Positive = 0.15
    weight_std: Positive = 0.05
    noise_std: Positive = 0.39
    half_life_s: Positive | None = None
    on_drift: Literal["alarm", "reset"] = Field(
        "reset",
        description="When the rewards of an arm are not what was expected: reset it, or warn only.",
    )


class TrialSection(_Section):
    share: Annotated[float, Field(ge=0.001, le=1)] = Field(
        0.25, description="Most traffic that new arms get together, beside established ones."
    )
    rewards: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        10, description="Rewards counted from which on an arm is established; 0 is from the start."
    )
    beside: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        100, description="Rewards that some eligible arm must have for others to be new beside it."
    )


class RewardSection(_Section):
    weights: dict[str, Positive] = Field(default_factory=lambda: {"quality": 1.0})

    @field_validator("weights")
    @classmethod
    def _bounded_metrics(cls, weights: dict[str, float]) -> dict[str, float]:
        allowed = [name for name, largest in METRICS.items() if largest == 1.0 and name != CONFIDENCE]
        unknown = [name for name in weights if name not in allowed]
        if unknown or not weights:
            raise ValueError(f"{unknown or 'nothing'} cannot be a reward; use some of {', '.join(allowed)}")
        return weights


class BudgetSection(_Section):
    usd_per_request: Dollars | None = None
    usd_per_day: Dollars | None = None
    mean_quality: Level | None = Field(
        None, description="The other way round: reward to keep on average, as cheaply as that can be done."
    )

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) > 1:
            raise ValueError(f"give one of usd_per_request, usd_per_day and mean_quality, not {len(given)}")
        return self

    def goal(self, weights: Mapping[str, float]) -> Goal | None:
        """What the router is paced by; None: nothing. ``weights`` are those of the reward."""
        if self.mean_quality is not None:
            return Floor(reward=self.mean_quality, weights=weights)
        if self.usd_per_day is not None:
            return Budget(usd=self.usd_per_day, per="day")
        return None if self.usd_per_request is None else Budget(usd=self.usd_per_request)


class ConversationsSection(_Section):
    sticky: bool = Field(True, description="A conversation keeps the arm it began with.")
    ttl_s: Positive = Field(86_400.0, description="It is over when not heard of for so long, seconds.")
    promote_gain: NonNegative = Field(
        0.05, description="Utility that a dearer arm must gain for the one promotion; 0 never promotes."
    )
    switch_usd_per_mtok: NonNegative = Field(
        0.0, description="What leaving a prompt cache costs, USD per million prompt tokens."
    )


class WorkflowSection(_Section):
    name: Name
    arm: Name


class StoreSection(_Section):
    url: str = "sqlite:///router.db"
    queue_size: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    keep_snapshots: Annotated[int, Field(ge=1)] = 1000


class LearnerSection(_Section):
    interval_s: Annotated[float, Field(ge=0.01, le=3600)] = 1.0
    batch: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000


class ServerSection(_Section):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1, le=1024)] = 1


class RuleSection(_Section):
    """One rule of the score that the heuristic policy goes by: a weight, and exactly one condition."""

    name: Name
    weight: Annotated[float, Field(gt=0, le=1)] = Field(description="Added to the score when it fires.")
    longer_than: Annotated[int, Field(ge=0)] | None = Field(None, description="Characters of the query.")
    keywords: tuple[Keyword, ...] = Field((), description="Whole words, in any case; one is enough.")
    tier: Annotated[str, Field(min_length=1)] | None = Field(None, description="The user's tier.")
    follow_up: Literal[True] | None = Field(None, description="Not the first turn of a conversation.")
    pattern: str | None = Field(None, description="A regular expression found anywhere in the query.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            rule = info.data.get("name")
            raise ValueError(f"rule {rule!r}: is no regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [name for name in RULE_CONDITIONS if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            has = " and ".join(given) or "no condition"
            raise ValueError(
                f"rule {self.name!r} has {has}; give exactly one of {', '.join(RULE_CONDITIONS)}"
            )
        return self


class ClassifierSection(_Section):
    artifact: str | None = Field(None, description="The file that `train-classifier` wrote.")


class CascadeSection(_Section):
    enabled: bool = Field(False, description="Answers may be retried on the expensive arm.")
    expensive: Name | None = Field(
        None, description="The arm that retries; that of the cascade policy if left out."
    )
    threshold: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Retry below this confidence; by expected utility if left out."
    )
    epsilon: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="Share of answers about which a coin decides, to learn."
    )


class Settings(BaseSettings):
    """Everything router.toml can say."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    router: RouterSection = RouterSection()
    policy: PolicySection = PolicySection()
    arms: tuple[ArmSection, ...] = ()
    features: FeaturesSection = FeaturesSection()
    posterior: PosteriorSection = PosteriorSection()
    reward: RewardSection = RewardSection()
    budget: BudgetSection = BudgetSection()
    store: StoreSection = StoreSection()
    learner: LearnerSection = LearnerSection()
    server: ServerSection = ServerSection()
    trial: TrialSection = TrialSection()
    rules: tuple[RuleSection, ...] = ()
    conversations: ConversationsSection = ConversationsSection()
    workflows: tuple[WorkflowSection, ...] = ()
    classifier: ClassifierSection = ClassifierSection()
    cascade: CascadeSection = CascadeSection()

    def goal(self) -> Goal | None:
        """What the router is paced by; None: nothing."""
        return self.budget.goal(self.reward.weights)

    def workflow_arms(self) -> dict[str, str]:
        """The arm of every known workflow."""
        return {workflow.name: workflow.arm for workflow in self.workflows}

    @field_validator("rules")
    @classmethod
    def _few_rules(cls, rules: tuple[RuleSection, ...]) -> tuple[RuleSection, ...]:
        if len(rules) > MOST_RULES:
            raise ValueError(
                f"there are {len(rules)} rules, allowed are {MOST_RULES}: each is one more thing that nobody "
                "measures, and there is no end of them (routing creep); merge some, or let a classifier or "
                "a bandit have the queries that they misjudge"
            )
        _check_distinct("rule", [rule.name for rule in rules])
        return rules

    @field_validator("arms")
    @classmethod
    def _distinct_arms(cls, arms: tuple[ArmSection, ...]) -> tuple[ArmSection, ...]:
        _check_distinct("arm", [arm.name for arm in arms])
        return arms

    @field_validator("workflows")
    @classmethod
    def _distinct_workflows(cls, workflows: tuple[WorkflowSection, ...]) -> tuple[WorkflowSection, ...]:
        _check_distinct("workflow", [workflow.name for workflow in workflows])
        return workflows

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def _check_distinct(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"duplicate {what} {', '.join(twice)}; every {what} needs a name of its own")


def check_arm(arm: Arm) -> None:
    """Raise InvalidInput unless router.toml could declare this arm."""
    try:
        ArmSection(**{f.name: getattr(arm, f.name) for f in fields(arm)})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"arm.{field}", first["msg"], f"got {first['input']!r:.80}") from None
