"""`import-log`: another router's log, one model a query, as a folder that other commands read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.option_values import parse_columns, parse_scale
from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ColumnsOption,
    ConfigOption,
    JsonOption,
    ScaleOption,
    SkipBadOption,
)
from bandit_router.cli.output import print_json, print_line
from bandit_router.features import build_pipeline
from bandit_router.settings import load_settings
from bandit_router.settings.learning import PosteriorSection


def import_log(
    file: Annotated[Path, typer.Argument(help="A table with one row a query: CSV, JSON or Parquet.")],
    folder: Annotated[Path, typer.Argument(help="Where to write; must be missing or empty.")],
    columns: ColumnsOption = None,
    scale: ScaleOption = None,
    skip_bad: SkipBadOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Turn another router's log into a folder for `evaluate`, `warm-start` and `train-classifier`.

    Columns are text (or features), arm, and where known reward, cost_usd, propensity, time and id; say with
    --columns what they are called: text=prompt,arm=model,reward=score.
    """
    from bandit_router.evaluation.logs.import_table import import_table

    settings = load_settings(config) if config.exists() else None
    imported = import_table(
        file,
        folder,
        build_pipeline(**(settings.features.pipeline() if settings else {})),
        settings.posterior if settings else PosteriorSection(),
        columns=parse_columns(columns),
        scale=parse_scale(scale) or (0.0, 1.0),
        skip_bad=skip_bad,
    )
    if as_json:
        facts = {"rows": imported.summary.rows, "rewards": imported.rewards, "arms": imported.arms}
        print_json({"folder": str(folder), **facts, "propensities": imported.propensities})
        return
    print_line(f"imported {imported.summary.rows} decisions to {folder}, {imported.rewards} with a reward")
    for arm, count in imported.arms.items():
        print_line(f"  {arm}: {count}")
    if imported.propensities == "unknown":
        print_line("  without propensities: `evaluate` has the reward model alone (dm) to go by")
