"""[gateway]: what the gateway calls without choosing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bandit_router.settings.section import Name, Section


class GatewaySection(Section):
    """What the gateway does besides choosing between arms."""

    embeddings_arm: Name | None = Field(
        None,
        description=(
            "The arm that `POST /v1/embeddings` is passed on to; its model has to be one of embeddings. "
            "Switch the arm off with `enabled = false`, so that no query goes to it. If left out, there is "
            "no such path."
        ),
        examples=["embedder"],
    )
    reserved_output_tokens: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        16_000,
        description=(
            "Output tokens that are reserved of a key's budget for a request that names no limit of its own, "
            "unless the arm's `max_output_tokens` are fewer. A longer answer costs more than was reserved."
        ),
    )
    max_concurrency: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1_000,
        description=(
            "Most requests to the gateway that one worker serves at once, from the first byte to the last; "
            "more are refused with 503 and `Retry-After`."
        ),
    )
    max_wait_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        10.0,
        description=(
            "Seconds that a request waits while every arm it could go to has `max_concurrency` calls; then "
            "it is refused with 503 and `Retry-After`."
        ),
    )
