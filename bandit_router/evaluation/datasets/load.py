"""Loads a dataset given on the command line, in whichever known format it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.evaluation.datasets.dataset import Dataset
from bandit_router.evaluation.datasets.paretobandit import load_paretobandit
from bandit_router.evaluation.datasets.perf_list import PERF_LIST, expand_perf_list
from bandit_router.evaluation.datasets.prices import Price
from bandit_router.evaluation.datasets.routellm import load_routellm, read_routellm
from bandit_router.evaluation.datasets.routerbench import COST_SUFFIX, read_routerbench
from bandit_router.evaluation.datasets.source import open_source
from bandit_router.evaluation.datasets.table import SHARES, read_table

PARETOBANDIT = "paretobandit"
"""The dataset that is loaded by name, from a package."""


def load_dataset(
    spec: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    scale: tuple[float, float] | None = None,
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    skip_bad: bool = False,
    need_costs: bool = True,
    allow_missing: bool = False,
) -> Dataset:
    """Load ``paretobandit``, or the file or folder at a path, in the format its columns show.

    A column ``<model>|total_cost`` means RouterBench's format; ``columns`` given or a column ``model``
    one row per query and model; ``perf_list`` LLMRouter's rows; a column ``prompt``, or a folder, RouteLLM's.
    The options are those of ``load_table``; without ``need_costs``, costs that are neither recorded nor
    priced are NaN. Raises ConfigError for unreadable data, and for an option that would do nothing.
    """
    tables = {"columns": columns, "scale": scale, "allow_missing": allow_missing or None}
    if spec == PARETOBANDIT:
        _require_unused("paretobandit", **tables, prices=prices)
        return _select_models(load_paretobandit(), models)
    path = Path(spec)
    if path.is_dir():
        _require_unused("a folder of RouteLLM's", **tables)
        return load_routellm(path, prices=prices, models=models, skip_bad=skip_bad, need_costs=need_costs)
    source = open_source(path)
    if PERF_LIST in source.names and columns is None:
        source = expand_perf_list(source)
    names = source.names
    if columns is not None or "model" in names:
        return read_table(
            source,
            columns=columns,
            scale=scale or SHARES,
            models=models,
            prices=prices,
            skip_bad=skip_bad,
            need_costs=need_costs,
            allow_missing=allow_missing,
        )
    if any(name.endswith(COST_SUFFIX) for name in names):
        _require_unused("RouterBench's format", **tables, prices=prices)
        return read_routerbench(source, models=models, skip_bad=skip_bad)
    if "prompt" in names and path.suffix.lower() == ".csv":
        _require_unused("RouteLLM's format", **tables)
        return read_routellm(source, prices=prices, models=models, skip_bad=skip_bad, need_costs=need_costs)
    raise ConfigError(
        f"{path}: its columns ({', '.join(names) or 'none'}) are of no known format; for one row per query "
        "and model, say with columns (--columns) what its text, model, quality and cost_usd are called"
    )


def _require_unused(data: str, **options: object) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise ConfigError(f"{', '.join(given)}: not for {data}; leave it out")


def _select_models(data: Dataset, models: Sequence[str] | None) -> Dataset:
    try:
        return data if models is None else data.only(models)
    except InvalidInput as error:
        raise ConfigError(f"{data.name}: {error}") from error
