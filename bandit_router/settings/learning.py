"""[features], [posterior], [feedback], [learner]: contexts, beliefs, what keys say, rounds of learning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from bandit_router.settings.section import Positive, Section, Share


class FeaturesSection(Section):
    """How a query becomes the context vector that rewards are predicted from.

    A posterior belongs to one kind of context: changing this section on a database that has decisions
    is refused.
    """

    embedding: Literal["wordllama", "none", "vector"] = Field(
        "wordllama",
        description=(
            "`wordllama` embeds the text beside its statistics (length, code, questions and so on), without "
            "network; `none` uses the statistics only; `vector` expects callers to send their own vector."
        ),
    )
    embedding_dim: Literal[64, 128, 256] = Field(
        64, description="Numbers in the wordllama embedding. More cost time and need more feedback."
    )
    max_chars: Annotated[int, Field(ge=64, le=1_000_000)] = Field(
        4096, description="Texts are cut to this many characters before features are computed."
    )
    vector_dim: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None,
        description='Numbers in the vector that callers send. Required with `embedding = "vector"`.',
        examples=[32],
    )
    task: Literal["system-prompt", "none"] | None = Field(
        None,
        description=(
            "What names the task of a request that names none itself. `system-prompt`: its system prompt and "
            "tools, whatever varies between near-duplicates; `none`: nothing. By default system prompts name "
            "tasks in the gateway alone."
        ),
        examples=["none"],
    )

    def pipeline(self) -> dict[str, Any]:
        """The settings that make contexts, as :func:`bandit_router.features.build_pipeline` takes them."""
        return self.model_dump(exclude={"task"})


class PosteriorSection(Section):
    """What is believed of every arm before any feedback, and how evidence ages. Rewards are in [0, 1]."""

    model: Literal["hierarchical", "independent"] = Field(
        "hierarchical",
        description=(
            "`hierarchical`: arms share a common effect, so that feedback on one arm teaches about all. "
            "`independent`: the textbook's linear model, each arm by itself."
        ),
    )
    prior_mean: Share = Field(
        0.7,
        description="Reward expected of an arm before any feedback; an arm's own is `expected_quality`.",
    )
    price_slope: Annotated[float, Field(ge=-1, le=1)] = Field(
        0.0,
        description=(
            "Reward by which a model of ten times the price is expected to be better, before any feedback. "
            "0 expects nothing of prices."
        ),
        examples=[0.05],
    )
    prior_std: Positive = Field(0.3, description="Standard deviation of `prior_mean`, for all arms together.")
    arm_std: Positive = Field(
        0.15, description="Standard deviation of the mean reward between arms (hierarchical only)."
    )
    weight_std: Positive = Field(
        0.05, description="Standard deviation of the effect of one feature (independent only)."
    )
    noise_std: Positive = Field(
        0.39,
        description=(
            "Standard deviation of the reward for the same context. The hierarchical model estimates it "
            "from the rewards as they come."
        ),
    )
    half_life_s: Positive | None = Field(
        None,
        description=(
            "Evidence this many seconds older than the newest counts half. If left out, nothing is forgotten."
        ),
        examples=[604_800],
    )
    on_drift: Literal["alarm", "reset"] = Field(
        "reset",
        description=(
            "When the newest rewards of an arm are too far from what was expected: `reset` learns the arm "
            "anew from the newest of them, `alarm` only logs a warning."
        ),
    )


class FeedbackSection(Section):
    """How much the feedback of one API key counts. Feedback without a key always counts in full."""

    max_key_share: Annotated[float, Field(ge=0.01, le=1)] = Field(
        0.15,
        description=(
            "The largest share of what is learned that is of one API key, once three keys are active: gave "
            "30 pieces of feedback today and yesterday (UTC). The feedback of a busier key weighs less. With "
            "few keys the limit is 1.5 equal shares. 1 weighs all feedback alike."
        ),
    )


class LearnerSection(Section):
    """How feedback becomes the next posterior. Every worker may do it, and none waits for it."""

    interval_s: Annotated[float, Field(ge=0.01, le=3600)] = Field(
        1.0, description="Seconds between two rounds of learning, and of reading what other workers learned."
    )
    batch: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        500, description="Most pieces of feedback learned from at once; a backlog is many batches."
    )
