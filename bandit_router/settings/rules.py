"""[[rules]]: the hand-written score of complexity that a heuristic policy goes by."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import re2
from pydantic import Field, ValidationInfo, field_validator, model_validator

from bandit_router.settings.section import Keyword, Name, Section

MOST_RULES = 5
RULE_CONDITIONS = ("longer_than", "keywords", "tier", "follow_up", "pattern")


def compile_pattern(pattern: str) -> Any:
    """The regular expression of a rule. Raises ``re2.error``.

    Python's own take exponential time for some patterns, and keep every thread waiting meanwhile.
    """
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


class RuleSection(Section):
    """A rule: a weight, and exactly one condition. Write one `[[rules]]` table for each, five at most.

    The signal `complexity`, in [0, 1], is the sum of the weights of the rules that fire, at most 1. A
    `heuristic` policy chooses by it, and uses rules of its own if there are none here. With any other
    policy the score is logged, so that `evaluate` can tell what a heuristic would have earned.
    `bandit-router rules test FILE` shows which rule fires for which query.
    """

    name: Name = Field(
        description="What the log calls the rule. Every rule needs a name of its own.", examples=["long"]
    )
    weight: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Added to the score when the rule fires.", examples=[0.4]
    )
    longer_than: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Fires for queries of more than this many characters.", examples=[500]
    )
    keywords: tuple[Keyword, ...] = Field(
        (),
        description="Fires when the query contains one of these as a whole word, in upper or lower case.",
        examples=[["analyze", "code", "debug", "design", "explain", "prove"]],
    )
    tier: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="Fires when the request's `user_tier` is this one.", examples=["premium"]
    )
    follow_up: Literal[True] | None = Field(
        None, description="Fires when the query is not the first turn of a conversation.", examples=[True]
    )
    pattern: str | None = Field(
        None,
        description=(
            "Fires when this regular expression matches anywhere in the query. It has the syntax of RE2, "
            "which never takes long: no lookaround, no backreferences; `\\w`, `\\d`, `\\s` and `\\b` are "
            "ASCII's, `\\p{L}` is any letter."
        ),
        examples=[r"\b[A-Z]{2}-\d{6}\b"],
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        try:
            compile_pattern(pattern or "")
        except re2.error as error:
            rule = info.data.get("name")
            [reason] = error.args
            raise ValueError(
                f"rule {rule!r}: is not a regular expression of RE2, which has no lookaround and no "
                f"backreferences: {reason.decode()}"
            ) from None
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
