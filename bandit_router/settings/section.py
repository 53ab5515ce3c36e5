"""The base of every section of router.toml, and the number and name types that sections share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/@:+-]*$", max_length=128)]
Keyword = Annotated[str, Field(min_length=1, max_length=128, pattern=r"\S")]
Positive = Annotated[float, Field(ge=1e-6, le=1e9, allow_inf_nan=False)]  # so that squares are too
Seconds = Annotated[float, Field(ge=0.01, le=86_400, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """One table of router.toml: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
