"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.option_values import check_report_path
from bandit_router.settings import CONFIG_VARIABLE

DEFAULT_CONFIG = Path("router.toml")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar=CONFIG_VARIABLE, help="The settings file.")
]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs to read.")]
LabelsOption = Annotated[
    str | None, typer.Option(help="Labelled queries: paretobandit, or a file with every model's outcomes.")
]
LogOption = Annotated[
    str | None, typer.Option(help="Logged decisions: a database URL, or a folder that `export` wrote.")
]
RouterOption = Annotated[str, typer.Option(help="Name of the router, if the database has several.")]
ColumnsOption = Annotated[
    str | None, typer.Option(help="Names of our columns in the file: text=prompt,model=llm,…")
]
ScaleOption = Annotated[
    str | None, typer.Option(help="The worst and the best quality in the file: 1:5 for stars, -1:1.")
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", metavar="", help="Leave out queries with a bad row.")
]
MissingOption = Annotated[
    bool,
    typer.Option("--allow-missing", metavar="", help="Use queries that some models have no result for."),
]
PolicyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--policy", "-p", help="A policy, such as thompson or linucb:alpha=0.3,epsilon=0.02; repeatable."
    ),
]
ClassifierOption = Annotated[
    Path | None, typer.Option(help="A file that `train-classifier` wrote, to ask about every query.")
]
ReportOption = Annotated[
    Path | None, typer.Option(callback=check_report_path, help="Write one HTML page that works offline.")
]
JobsOption = Annotated[int, typer.Option(help="Processes to work with; -1 means one per core.")]
ClusterOption = Annotated[
    str | None, typer.Option(help="Work on this Dask scheduler instead: tcp://host:8786.")
]
