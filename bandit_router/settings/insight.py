"""[insight]: what is estimated from the log in the background."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bandit_router.settings.section import Section, Share


class InsightSection(Section):
    """Savings against fixed models, estimated from the newest decisions, by one worker for all."""

    savings_interval_s: Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)] = Field(
        3600.0,
        description=(
            "Seconds between two estimates of the savings, by a process of low priority; 0 makes none. It "
            "needs `pip install 'bandit-router[evaluation]'`."
        ),
    )
    savings_rows: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        20_000, description="Most decisions that savings are estimated from: the newest of the policy."
    )
    savings_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        30.0, description="Days after which a decision is too old for it."
    )
    savings_margin: Share = Field(
        0.02,
        description=(
            "Quality by which the router may be worse than a fixed model and be called equal. A saving is "
            "stated only if the 95% interval of the difference is within it."
        ),
    )
