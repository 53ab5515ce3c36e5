"""List prices, for data that does not record what each call cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.evaluation.datasets.problems import RowProblem, raise_problems
from bandit_router.evaluation.datasets.source import open_source
from bandit_router.evaluation.datasets.values import AMOUNT, Origin, read_numbers, read_texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """The price of a model in USD: per million tokens in and out, and per call whatever its length.

    ``output_tokens`` is the length assumed of an answer whose length is unknown.
    Raises InvalidInput for a number that is negative or not finite.
    """

    usd_per_1m_input: float = 0.0
    usd_per_1m_output: float = 0.0
    usd_per_call: float = 0.0
    output_tokens: float = 300.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise InvalidInput(field.name, f"is {value}", "give a finite number of at least 0")

    def cost_usd(self, input_tokens: float, output_tokens: float = math.nan) -> float:
        """USD for one call. NaN ``output_tokens`` stand for the assumed length."""
        out = self.output_tokens if math.isnan(output_tokens) else output_tokens
        return (
            self.usd_per_call
            + (self.usd_per_1m_input * input_tokens + self.usd_per_1m_output * out) / 1_000_000
        )


def require_prices(
    path: Path, models: Sequence[str], prices: Mapping[str, Price] | None
) -> Mapping[str, Price]:
    """The prices, if there is one for every model. Raises ConfigError naming those without."""
    prices = prices or {}
    if missing := [model for model in models if model not in prices]:
        priced = f" (there are prices for {', '.join(prices)})" if prices else ""
        raise ConfigError(
            f"{path}: records no costs, so give prices (--prices) for {', '.join(missing)}{priced}"
        )
    return prices


def load_prices(path: Path) -> dict[str, Price]:
    """Prices from CSV, JSON Lines or Parquet with a row per model.

    Columns: model, and any of usd_per_1m_input, usd_per_1m_output, usd_per_call and output_tokens; a gap
    is that field's default, others are ignored. Raises ConfigError naming every bad row.
    """
    source = open_source(path)
    names = [field.name for field in fields(Price) if field.name in source.names]
    if "model" not in source.names or not any(name.startswith("usd_") for name in names):
        raise ConfigError(
            f"{path}: needs the columns model and one or more of usd_per_1m_input, usd_per_1m_output and "
            f"usd_per_call; it has {', '.join(source.names)}"
        )
    rows = source.read(["model", *names])
    problems = list(rows.broken)
    origins = [Origin(line) for line in rows.lines]
    models = read_texts(rows.columns["model"], origins, "model", problems)
    problems += _find_repeats(models, rows.lines)
    columns = [read_numbers(rows.columns[name], origins, name, AMOUNT, problems).tolist() for name in names]
    raise_problems(path, source.unit, problems, "correct them")
    return {
        model: Price(**{name: n for name, n in zip(names, numbers, strict=True) if not math.isnan(n)})
        for model, *numbers in zip(models, *columns, strict=True)
        if model is not None
    }


def _find_repeats(models: Sequence[str | None], lines: Sequence[int]) -> list[RowProblem]:
    first: dict[str, int] = {}
    return [
        RowProblem(line, f"model {model!r} has a price at line {first[model]} already")
        for model, line in zip(models, lines, strict=True)
        if model is not None and first.setdefault(model, line) != line
    ]
