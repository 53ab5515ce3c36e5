"""[[arms]]: the models a router can choose."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from bandit_router.errors import InvalidInput
from bandit_router.settings.prices import Prices
from bandit_router.settings.script import ScriptSection
from bandit_router.settings.section import Name, NonNegative, Seconds, Section, Share
from bandit_router.types import Arm, DialectName

BaseUrl = Annotated[str, Field(pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$", max_length=2048)]
BaseUrls = Annotated[
    Annotated[BaseUrl, Tag("url")] | Annotated[dict[DialectName, BaseUrl], Tag("table")],
    Discriminator(lambda value: "table" if isinstance(value, dict) else "url"),
]
_OWN_PRICES = ("input", "output", "cache_read", "cache_write")


class ArmSection(Section):
    """A model that queries can be routed to. Write one `[[arms]]` table per model.

    Every arm needs a name of its own. Arms can also be added to a running router with
    `bandit-router arms add`; an arm in router.toml wins at the next start. The gateway calls arms of
    router.toml only. All workers call an arm in the same way: these keys are stored with the settings in
    force, the name of a variable or file and never the API key in it.
    """

    name: Name = Field(
        description="What decisions, policies and callers call this arm.", examples=["small", "gpt-4o"]
    )
    provider: Name = Field(
        "openai",
        description=(
            "Who serves the model. It is returned with every decision. The gateway can call `openai` (and "
            "any compatible server, by `base_url`), `anthropic` and `scripted`, which makes answers up."
        ),
        examples=["openai", "anthropic"],
    )
    model: str = Field(
        "",
        max_length=256,
        description="The provider's model id. If empty, the arm's name.",
        examples=["gpt-4o-mini"],
    )
    input_usd_per_mtok: NonNegative | None = Field(
        None,
        description=(
            "Price of a million input tokens, USD. If left out, the list price of `model` at `provider`, or "
            "at whoever serves `base_url`. A model that is not in the list needs it."
        ),
        examples=[0.15],
    )
    output_usd_per_mtok: NonNegative | None = Field(
        None,
        description="Price of a million output tokens, USD. If left out, the list price.",
        examples=[0.60],
    )
    cache_read_usd_per_mtok: NonNegative | None = Field(
        None,
        description=(
            "Price of a million input tokens read from the provider's cache, USD. If left out, as far below "
            "the input price as in the list; the input price if the model is not in the list."
        ),
    )
    cache_write_usd_per_mtok: NonNegative | None = Field(
        None,
        description="Price of a million input tokens written to that cache, USD. If left out, likewise.",
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

    dialects: tuple[DialectName, ...] | None = Field(
        None,
        description=(
            "The HTTP forms in which the gateway calls this arm: `chat`, `responses` (OpenAI) and `messages` "
            "(Anthropic). A request in another one never goes to it. If left out, those with a `base_url` of "
            "their own, else those of the provider: chat and responses for openai, messages for anthropic, "
            "all for scripted. An anthropic arm also takes chat, in translation, unless `base_url` has an "
            "address for it."
        ),
        examples=[["chat", "messages"]],
    )
    max_output_tokens: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        64_000,
        description=(
            "Most tokens of an answer, which Anthropic wants to be told: a chat request that names no number "
            "is translated with this one, and one that asks for more never goes to this arm. Set it to the "
            "model's own limit. Of other requests it says how much is reserved of a key's budget."
        ),
        examples=[128_000],
    )
    logprobs: bool = Field(
        False,
        description=(
            "Whether the gateway may ask this arm for the log-probabilities of its tokens, in chat requests. "
            "Clients that do not want them never see them."
        ),
    )
    base_url: BaseUrls | None = Field(
        None,
        description=(
            "Where the gateway calls this arm, written as the provider's SDK has it: one URL, or a table "
            "with one for each dialect. If left out, the provider itself."
        ),
        examples=["http://localhost:8000/v1", {"chat": "https://host/v1", "messages": "https://host"}],
    )
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        None,
        description=(
            "Environment variable that holds the API key. If left out, `OPENAI_API_KEY` or "
            "`ANTHROPIC_API_KEY` at the provider itself, and no key at a `base_url`."
        ),
        examples=["OPENROUTER_API_KEY"],
    )
    api_key_file: Path | None = Field(
        None,
        description=(
            "File that holds the API key, instead of a variable. It is read again when it changes, and when "
            "the provider rejects the key."
        ),
        examples=["/run/secrets/openai"],
    )
    allow_private: bool = Field(
        False,
        description=(
            "Whether the gateway may call this arm at an address that is not public: this machine, a private "
            "or a link-local network. It is checked on the address that the name resolves to."
        ),
    )
    max_concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description=(
            "Most calls of this arm at once in one worker. If left out, there is no limit. A request that no "
            "other arm can take waits for this one, up to `gateway.max_wait_s`."
        ),
        examples=[64],
    )
    first_token_timeout_s: Seconds = Field(
        60.0, description="Seconds that the gateway waits for a stream of this arm to begin."
    )
    gap_timeout_s: Seconds = Field(
        60.0, description="Seconds that the gateway waits for more of an answer that has begun."
    )
    total_timeout_s: Seconds = Field(
        600.0, description="Seconds that a whole answer of this arm may take, streamed or not."
    )
    unsupported: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field(
        (),
        description=(
            "Fields of a request that this model rejects. A request through the gateway that has one of them "
            "never goes to this arm."
        ),
        examples=[["temperature", "top_p"]],
    )
    script: ScriptSection = Field(
        ScriptSection(), description="How an arm of the provider `scripted` answers. Others ignore it."
    )

    @model_validator(mode="after")
    def _has_prices_and_one_key(self) -> Self:
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("api_key_env and api_key_file are both set; keep one of them")
        if isinstance(self.base_url, dict) and (missing := set(self.dialects or ()) - set(self.base_url)):
            raise ValueError(f"base_url has none for {', '.join(sorted(missing))}, which dialects names")
        try:
            self.arm()
        except LookupError as error:
            server = self.prices().base_url or f"provider {self.provider!r}"
            raise ValueError(
                f"input_usd_per_mtok and output_usd_per_mtok: {error} at {server}; set both"
            ) from None
        return self

    def base_urls(self) -> dict[DialectName, str]:
        """The base URL of each dialect; empty if the provider's own are meant."""
        if isinstance(self.base_url, str):
            return dict.fromkeys(DialectName, self.base_url)
        return self.base_url or {}

    def prices(self) -> Prices:
        """What the arm's tokens cost."""
        own = {kind: getattr(self, f"{kind}_usd_per_mtok") for kind in _OWN_PRICES}
        return Prices(
            provider=self.provider,
            model=self.model or self.name,
            base_url=next(iter(self.base_urls().values()), None),
            own={kind: price for kind, price in own.items() if price is not None},
        )

    def arm(self) -> Arm:
        """The arm that is routed to and stored: it has prices, and nothing of how it is called."""
        prices = self.prices()
        return Arm(
            name=self.name,
            provider=self.provider,
            model=self.model or self.name,
            input_usd_per_mtok=prices.find_rate("input"),
            output_usd_per_mtok=prices.find_rate("output"),
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
