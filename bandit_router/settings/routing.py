"""[router], [conversations], [[workflows]]: what is routed, and what comes before the policy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bandit_router.settings.section import Level, Name, NonNegative, Positive, Section, Share


class RouterSection(Section):
    """The router's name, what a dollar is worth to it, and the limits of every request."""

    name: Name = Field(
        "default",
        description="Routers with different names share nothing, not even in one database.",
        examples=["default", "support-chat"],
    )
    cost_weight: NonNegative = Field(
        0.0,
        description=(
            "Reward you would give up to save one dollar, in 1/USD. 0 ignores cost. A request can give "
            "its own, and a goal under `[budget]` sets it instead."
        ),
        examples=[20.0],
    )
    log_queries: bool = Field(
        False,
        description="Store the query text with each decision. Off by default: texts may be private.",
    )
    log_users: bool = Field(
        False,
        description="Store the ids of users in clear. Off by default: a keyed hash is stored instead.",
    )
    min_quality: Share = Field(
        0.0,
        description=(
            "Leave out arms that are not expected to reach this reward for a query. "
            "The best arm always stays. 0 leaves out none."
        ),
        examples=[0.8],
    )
    deadline_level: Level = Field(
        0.95,
        description="How often an answer must be in time when a request has a `deadline_s`: a probability.",
    )
    explore: Literal["everywhere", "heard"] = Field(
        "everywhere",
        description=(
            "Where a policy that learns explores. `heard`: only on requests with `will_be_rated`, which say "
            "that a coin or a panel will have the answer rated; all others get the best known arm."
        ),
    )
    unrated_epsilon: Share = Field(
        0.001,
        description='With `explore = "heard"`: share of the other requests, spread evenly over all arms.',
    )


class ConversationsSection(Section):
    """Conversations stick to an arm, because changing the model loses the prompt cache and the tone."""

    sticky: bool = Field(
        True, description="A conversation keeps the arm it began with, whichever worker serves it."
    )
    ttl_s: Positive = Field(
        86_400.0,
        description="Seconds without a request after which a conversation is over. One day by default.",
    )
    promote_gain: NonNegative = Field(
        0.05,
        description=(
            "Utility by which a more expensive arm must be better for a conversation to change to it. "
            "A conversation changes once at most; 0 never changes."
        ),
    )
    switch_usd_per_mtok: NonNegative = Field(
        0.0,
        description=(
            "What losing the prompt cache costs, USD per million prompt tokens. "
            "It is added to the price of a promotion."
        ),
        examples=[1.25],
    )


class WorkflowSection(Section):
    """A known workflow: every step of it goes to one arm. Write one `[[workflows]]` table for each.

    A request names its workflow with `workflow`.
    """

    name: Name = Field(description="What requests call the workflow.", examples=["invoice-extraction"])
    arm: Name = Field(description="The arm that every step goes to.", examples=["large"])
