"""[gateway]: what the gateway calls without choosing."""

from __future__ import annotations

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
