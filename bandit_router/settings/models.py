"""Settings: every section of router.toml together, and what must hold between them."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bandit_router.settings.arms import ArmSection
from bandit_router.settings.gateway import GatewaySection
from bandit_router.settings.insight import InsightSection
from bandit_router.settings.judge import JudgeSection
from bandit_router.settings.learning import FeaturesSection, FeedbackSection, LearnerSection, PosteriorSection
from bandit_router.settings.objective import (
    BudgetSection,
    MetricName,
    MetricSection,
    RewardSection,
    check_own_metrics,
)
from bandit_router.settings.policy import CascadeSection, ClassifierSection, PolicySection, TrialSection
from bandit_router.settings.rollout import RolloutSection
from bandit_router.settings.routing import ConversationsSection, RouterSection, WorkflowSection
from bandit_router.settings.rules import MOST_RULES, RuleSection
from bandit_router.settings.safety import SafetySection
from bandit_router.settings.serving import ServerSection, StoreSection
from bandit_router.types import Goal, Scale

ENV_PREFIX = "BANDIT_ROUTER_"


class Settings(BaseSettings):
    """Everything router.toml can say. Every section may be left out.

    The environment wins over the file. A variable is named `BANDIT_ROUTER_` + section + `__` + key, in any
    case: `BANDIT_ROUTER_STORE__URL`, `BANDIT_ROUTER_ROUTER__COST_WEIGHT`. A list of tables is given as JSON:
    `BANDIT_ROUTER_ARMS='[{"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6}]'`.
    `BANDIT_ROUTER_CONFIG` names the file itself. An unknown section, key or variable is an error.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    router: RouterSection = Field(
        RouterSection(),
        description="The router's name, what a dollar is worth to it, and the limits of every request.",
    )
    policy: PolicySection = Field(
        PolicySection(),
        description="Who decides.",
        examples=[
            {"name": "tempered", "epsilon": 0.005},
            {"name": "heuristic", "cheap": "small", "expensive": "large", "low": 0.2, "high": 0.8},
            {
                "name": "tier",
                "tiers": {
                    "premium": "large",
                    "free": "small",
                    "standard": "[tempered:epsilon=0.01]",
                    "else": "[tempered]",
                },
            },
        ],
    )
    arms: tuple[ArmSection, ...] = Field(
        (),
        description="The models a router can choose.",
        examples=[
            [
                {
                    "name": "small",
                    "provider": "openai",
                    "model": "gpt-4o-mini",
                    "input_usd_per_mtok": 0.15,
                    "output_usd_per_mtok": 0.60,
                    "context_window": 128_000,
                    "capabilities": ["tools", "json", "vision"],
                }
            ]
        ],
    )
    features: FeaturesSection = Field(
        FeaturesSection(), description="How a query becomes the context vector."
    )
    posterior: PosteriorSection = Field(
        PosteriorSection(), description="Beliefs before any feedback, and how evidence ages."
    )
    reward: RewardSection = Field(RewardSection(), description="How feedback makes the reward.")
    budget: BudgetSection = Field(
        BudgetSection(),
        description="A goal that paces the cost weight.",
        examples=[{"usd_per_request": 0.002}, {"usd_per_day": 50.0}, {"mean_quality": 0.9}],
    )
    store: StoreSection = Field(StoreSection(), description="The database.")
    learner: LearnerSection = Field(LearnerSection(), description="How often feedback is learned.")
    server: ServerSection = Field(ServerSection(), description="Where the HTTP API listens.")
    insight: InsightSection = Field(
        InsightSection(), description="What is estimated from the log in the background."
    )
    gateway: GatewaySection = Field(GatewaySection(), description="What the gateway calls without choosing.")
    judge: JudgeSection = Field(
        JudgeSection(),
        description="A model that judges answers.",
        examples=[{"arm": "judge", "share": 0.2, "usd_per_day": 5.0}],
    )
    trial: TrialSection = Field(TrialSection(), description="How much traffic new arms get.")
    rollout: RolloutSection = Field(
        RolloutSection(),
        description="How the policy takes over from the one that decides today.",
        examples=[{"incumbent": "large", "share": 0.01}],
    )
    safety: SafetySection = Field(
        SafetySection(),
        description="How much learning may cost against an arm that works today.",
        examples=[{"baseline": "large", "at_most": 0.02}],
    )
    rules: tuple[RuleSection, ...] = Field(
        (),
        description="The score of complexity that a heuristic policy goes by.",
        examples=[
            [
                {"name": "long", "weight": 0.4, "longer_than": 500},
                {"name": "keywords", "weight": 0.5, "keywords": ["analyze", "code", "debug"]},
                {"name": "premium", "weight": 0.4, "tier": "premium"},
                {"name": "follow-up", "weight": 0.2, "follow_up": True},
                {"name": "order", "weight": 0.5, "pattern": r"\b[A-Z]{2}-\d{6}\b"},
            ]
        ],
    )
    conversations: ConversationsSection = Field(
        ConversationsSection(), description="How long a conversation keeps its arm."
    )
    workflows: tuple[WorkflowSection, ...] = Field(
        (),
        description="Workflows whose every step goes to one arm.",
        examples=[[{"name": "invoice-extraction", "arm": "large"}]],
    )
    classifier: ClassifierSection = Field(
        ClassifierSection(),
        description="A trained classifier of complexity.",
        examples=[{"artifact": "classifier.json"}],
    )
    cascade: CascadeSection = Field(
        CascadeSection(),
        description="Retries on the expensive arm.",
        examples=[{"enabled": True, "expensive": "large"}],
    )
    feedback: FeedbackSection = Field(
        FeedbackSection(), description="How much the feedback of one API key counts."
    )
    metrics: dict[MetricName, MetricSection] = Field(
        default_factory=dict,
        validate_default=True,
        description="Metrics of your own, with their scales.",
        examples=[{"stars": {"scale": [1, 5]}}],
    )

    def scales(self) -> dict[str, Scale]:
        """The scale of every metric of the owner's."""
        return {name: Scale(*section.scale) for name, section in self.metrics.items()}

    def goal(self) -> Goal | None:
        """The goal that paces the router; None without one."""
        return self.budget.goal(self.reward.terms())

    def workflow_arms(self) -> dict[str, str]:
        """The arm of every known workflow."""
        return {workflow.name: workflow.arm for workflow in self.workflows}

    @field_validator("metrics")
    @classmethod
    def _metrics_of_reward(
        cls, metrics: dict[str, MetricSection], info: ValidationInfo
    ) -> dict[str, MetricSection]:
        check_own_metrics(metrics, info.data.get("reward", RewardSection()).weights)
        return metrics

    @field_validator("rules")
    @classmethod
    def _few_rules(cls, rules: tuple[RuleSection, ...]) -> tuple[RuleSection, ...]:
        if len(rules) > MOST_RULES:
            raise ValueError(
                f"there are {len(rules)} rules, allowed are {MOST_RULES}: hand-written rules pile up, "
                "and nobody measures them (routing creep); merge some, or let a classifier or a bandit "
                "decide the queries that they misjudge"
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
        """The environment before the file; no .env file and no secrets folder."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def _check_distinct(kind: str, names: list[str]) -> None:
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ValueError(f"duplicate {kind} {', '.join(duplicates)}; every {kind} needs a name of its own")
