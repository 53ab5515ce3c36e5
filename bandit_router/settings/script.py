"""[arms.script]: how an arm of the provider `scripted` answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bandit_router.settings.section import Section, Share


class ScriptSection(Section):
    """The answers of a scripted arm, which calls nobody: for tests, demonstrations and trials without a key.

    The same request gets the same answer, in text, tokens and times, but in an outage.
    """

    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(
        0, description="Another seed makes other answers up."
    )
    answer: Annotated[str, Field(max_length=1_000_000)] = Field(
        "", description="The text of every answer. If empty, words made up for each request."
    )
    output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        40, description="Tokens of an answer that is made up, on average; one in each chunk of a stream."
    )
    least_token_probability: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="The tokens of an answer have one probability, drawn evenly between this and 1."
    )
    first_token_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        0.0, description="Seconds until an answer begins, on average (exponentially distributed)."
    )
    gap_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        0.0, description="Seconds between the tokens of an answer."
    )
    failure_rate: Share = Field(0.0, description="Share of requests that fail.")
    outage_after: Annotated[int, Field(ge=0)] = Field(
        0, description="Calls, in each process, before those of `outage_calls`."
    )
    outage_calls: Annotated[int, Field(ge=0)] = Field(
        0, description="Calls that fail one after another, as in an outage."
    )
    failure_status: Annotated[int, Field(ge=400, le=599)] = Field(
        503, description="The HTTP status that they fail with."
    )
