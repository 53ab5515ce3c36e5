"""[safety]: a bound on what learning may cost against an arm that works today."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bandit_router.settings.section import Name, Section

LEAST_AT_MOST = 0.001
"""The smallest ``at_most``; less could not be told from the noise of answers."""


class SafetySection(Section):
    """What a policy that learns may lose to a baseline while it learns.

    The baseline decides what the policy may not: the policy's share of traffic grows as it earns it, the same
    for all workers. `bandit-router safety` shows it.
    """

    baseline: Name | None = Field(
        None,
        description="The arm that the policy is compared with, such as the model that answers everything "
        "today. If left out, nothing is bound.",
        examples=["large"],
    )
    at_most: Annotated[float, Field(ge=LEAST_AT_MOST, le=1)] = Field(
        0.02, description="Share of the utility that the baseline would have earned that may be lost."
    )
    probability: Annotated[float, Field(ge=0.5, le=0.9999)] = Field(
        0.95, description="Probability with which the bound holds, at all times together."
    )
