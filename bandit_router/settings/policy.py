"""[policy], [trial], [classifier], [cascade]: who decides, and what stands around the decision."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from bandit_router.settings.section import Name, Section, Share


class PolicySection(BaseModel):
    """The name of a policy; every other key is a parameter of that policy.

    Policies that learn:

    - `tempered` (default): Thompson sampling that calms down as it learns. `least` = 0.5, `slope` = 5.0:
      the width of exploration is std · min(1, least + slope · std). `epsilon` = 0.005. Where only a share
      of the answers is rated, the width is scaled by that share to the power of `rated_exponent` = 0.5, of
      an arm with few rewards by less; 0 explores as if all were rated.
    - `thompson`: `v` = 1.0 scales the width of exploration. `epsilon` = 0.02.
    - `linucb`: `alpha` = 1.0 scales the width of exploration. `epsilon` = 0.02.
    - `epsilon-greedy`: the best arm so far. `epsilon` = 0.1.

    Policies written by hand, to start from or to compare with:

    - `uniform`: every eligible arm alike; the best log to evaluate other policies from.
    - `fixed`: always `arm`. `epsilon` = 0.
    - `heuristic`: the score of `[[rules]]` decides between the arms `cheap` and `expensive`. Above
      `high` = 0.8 it chooses the expensive arm, otherwise the cheap one. Scores from `low` = 0.2 to `high`
      are logged as uncertain. `epsilon` = 0.02.
    - `classifier`: above `threshold` = 0.7 of P(complex) the arm `expensive`, otherwise `cheap`; see
      `[classifier]`. `train-classifier --quality` chooses the threshold. `epsilon` = 0.02.
    - `cascade`: the arm `cheap` first; see `[cascade]` for the retry on `expensive`. `epsilon` = 0.02.
    - `tier`: the request's `user_tier` decides. `[policy.tiers]` gives each tier an arm, or a policy in
      brackets; `else` is for all other users. In the environment:
      `BANDIT_ROUTER_POLICY__TIERS='premium=large,else=[tempered]'`.

    - `caller`: the arm that the request names as `incumbent`, or the arm `otherwise`; the incumbent of a
      `[rollout]` from a program that decides by itself.

    `epsilon` is the share of traffic spread evenly over all eligible arms. Keep it above 0: without it no
    other policy can be evaluated honestly from the log.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(
        "tempered", description="One of the policies above.", examples=["tempered", "heuristic"]
    )

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class TrialSection(Section):
    """How much traffic a new arm gets when it joins arms that are established.

    A cold start is no trial: it needs an established arm beside the new one.
    """

    share: Annotated[float, Field(ge=0.001, le=1)] = Field(
        0.25,
        description=(
            "Most traffic for all new arms together. A fifth of it is theirs, whatever is expected of them."
        ),
    )
    rewards: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        10,
        description="An arm is new until this many of its rewards are counted. 0 switches trials off.",
    )
    beside: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        100,
        description=(
            "Rewards that another eligible arm must have. With fewer there is little to protect, and the "
            "policy explores better by itself."
        ),
    )


class ClassifierSection(Section):
    """A trained classifier, which logs P(complex) with every decision, whichever policy is live."""

    artifact: str | None = Field(
        None,
        description=(
            "The file that `bandit-router train-classifier` wrote. It is read at the start: "
            "restart to use a new one."
        ),
        examples=["classifier.json"],
    )


class ConfidenceSource(StrEnum):
    """What tells the gateway how sure an arm is of its answer."""

    TOKEN_PROBABILITY = "token_probability"
    SELF_CHECK = "self_check"
    AGREEMENT = "agreement"


class CascadeSection(Section):
    """Cheap first, and again on the expensive arm where the answer is not good enough.

    Callers report how sure the model is of its answer: `POST /v1/decisions/{id}/escalate`. The router
    replies to accept it, or gives a second decision.
    """

    enabled: bool = Field(False, description="Whether answers may be retried on the expensive arm.")
    expensive: Name | None = Field(
        None,
        description="The arm that retries. If left out, the `expensive` arm of a `cascade` policy.",
        examples=["large"],
    )
    threshold: Share | None = Field(
        None,
        description=(
            "Retry below this confidence. If left out, the router retries where that has the higher expected "
            "utility, which it learns from feedback."
        ),
        examples=[0.7],
    )
    epsilon: Share = Field(
        0.05,
        description="Share of answers for which a coin decides, so that the router learns what retries gain.",
    )
    confidence: ConfidenceSource | None = Field(
        None,
        description=(
            "How the gateway finds out how sure an arm is of its answer, which it holds until then: "
            "`token_probability` is the mean probability of its tokens, for arms with `logprobs = true` and "
            "for requests that ask for them; `self_check` asks `self_check_arm` whether the answer is "
            "correct; `agreement` asks the arm itself twice for a short answer, and compares the two. If "
            "left out, the gateway holds nothing, and callers report it."
        ),
        examples=["self_check"],
    )
    self_check_arm: Name | None = Field(
        None, description="The arm that checks answers, by name.", examples=["small"]
    )
    keep_alive_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        10.0,
        description="Seconds after which a client whose stream is held hears a comment, and again and again.",
    )
