"""[[arms]]: the models a router can choose."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from pydantic import Field, ValidationError

from bandit_router.errors import InvalidInput
from bandit_router.settings.section import Name, NonNegative, Section, Share
from bandit_router.types import Arm


class ArmSection(Section):
    """A model that queries can be routed to. Write one `[[arms]]` table per model.

    Every arm needs a name of its own. Arms can also be added to a running router with
    `bandit-router arms add`; an arm in router.toml wins at the next start.
    """

    name: Name = Field(
        description="What decisions, policies and callers call this arm.", examples=["small", "gpt-4o"]
    )
    provider: Name = Field(
        "openai",
        description="Who serves the model. It is returned with every decision.",
        examples=["openai", "anthropic"],
    )
    model: str = Field(
        "",
        max_length=256,
        description="The provider's model id. If empty, the arm's name.",
        examples=["gpt-4o-mini"],
    )
    input_usd_per_mtok: NonNegative = Field(
        description="Price of a million input tokens, USD.", examples=[0.15]
    )
    output_usd_per_mtok: NonNegative = Field(
        description="Price of a million output tokens, USD.", examples=[0.60]
    )
    expected_output_tokens: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        300,
        description=(
            "Output tokens assumed for a call, to estimate its cost until costs are reported, "
            "and to check that prompt and answer fit the context window."
        ),
    )
    context_window: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None,
        description="Most tokens of prompt and answer together. If left out, there is no limit.",
        examples=[128_000],
    )
    capabilities: tuple[Name, ...] = Field(
        (),
        description=(
            "What the model can do: any of `vision`, `documents`, `audio`, `tools` and `json`, and names of "
            "your own. A prompt that needs another one never goes to it; `vision` will do for documents. If "
            "left out, any prompt may go to it, but no request that lists a capability in `require`."
        ),
        examples=[["tools", "json", "vision"]],
    )
    enabled: bool = Field(
        True,
        description="Whether queries may go to this arm. A disabled arm keeps what was learned about it.",
    )
    expected_quality: Share | None = Field(
        None,
        description=(
            "Reward expected of this arm before any feedback. If left out, `posterior.prior_mean` "
            "corrected by `posterior.price_slope`."
        ),
        examples=[0.8],
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


def check_arm(arm: Arm) -> None:
    """Raise InvalidInput unless router.toml could declare this arm."""
    try:
        ArmSection(**{f.name: getattr(arm, f.name) for f in fields(arm)})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(key) for key in first["loc"])
        raise InvalidInput(f"arm.{field}", first["msg"], f"got {first['input']!r:.80}") from None
