"""[judge]: a model that judges answers of the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from bandit_router.settings.section import Dollars, Name, Seconds, Section, Share


class JudgeSection(Section):
    """A model that judges a share of the answers that pass through the gateway, when clients have them.

    It writes the metric `judged`, from 0 to 1, which counts in the reward as `[reward]` says. It reads the
    conversation and the answer, never which arm gave it; both stay in memory. Compare it with people before
    you learn from it: `bandit-router judge --agreement`.
    """

    arm: Name | None = Field(
        None,
        description=(
            "The arm that judges. Its own answers are never judged. `enabled = false` keeps queries away "
            "from it. If left out, nothing is judged."
        ),
        examples=["judge"],
    )
    share: Share = Field(
        0.1,
        description=(
            "Share of requests whose answer is judged. A coin decides before the arm is chosen; it is logged "
            "as the signal `will_be_judged`, and its probability as `judged_probability`."
        ),
    )
    usd_per_day: Dollars = Field(
        1.0, description="Most that the calls of all workers may cost a day (UTC), USD."
    )
    rubric: Path | None = Field(
        None,
        description="A text file with what makes an answer good. If left out, one comes with the package.",
        examples=["rubric.txt"],
    )
    prompt: Path | None = Field(
        None,
        description=(
            "A text file with the whole prompt, in which `$rubric`, `$query` and `$answer` stand for the "
            "texts, and `$mark` for something that no text can foresee. It has to ask for a last line "
            "`SCORE: n`, n from 0 to 10. If left out, one comes with the package."
        ),
        examples=["prompt.txt"],
    )
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        500, description="Most tokens of what the judge says of an answer."
    )
    timeout_s: Seconds = Field(60.0, description="Seconds that the judge may take over an answer.")
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = Field(
        4, description="Answers that one worker has judged at once."
    )
    queue_size: Annotated[int, Field(ge=1, le=10_000)] = Field(
        100,
        description="Answers that wait to be judged in one worker; one more is not judged.",
    )
