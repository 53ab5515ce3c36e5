"""The command that trains a classifier. What it needs beyond routing is imported when it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bandit_router.cli.checks import check_page, read_columns
from bandit_router.cli.evaluation import ReportOption, progress_bar, read_queries, write_page
from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ColumnsOption,
    ConfigOption,
    JsonOption,
    LabelsOption,
    LogOption,
    RouterOption,
    out,
    print_json,
    say,
)
from bandit_router.errors import InvalidInput, RouterError
from bandit_router.features import build_pipeline
from bandit_router.settings import load_settings
from bandit_router.signals.classifier import Classifier, save_classifier
from bandit_router.store.engine import without_passwords

if TYPE_CHECKING:
    from bandit_router.evaluation.training.examples import Examples, Pair
    from bandit_router.evaluation.training.train import Trained


def train_classifier(
    cheap: Annotated[str, typer.Option(help="The model that simple queries go to.")],
    expensive: Annotated[str, typer.Option(help="The model that complex queries go to.")],
    data: LabelsOption = None,
    log: LogOption = None,
    router: RouterOption = "default",
    low: Annotated[
        float, typer.Option(help="A query is complex when the cheap model's quality is below this.")
    ] = 0.5,
    quality: Annotated[
        float | None, typer.Option(help="Choose the threshold to keep this share of the expensive quality.")
    ] = None,
    usd_per_request: Annotated[
        float | None, typer.Option(help="Or to cost no more than this, USD. By default it is 0.7.")
    ] = None,
    target: Annotated[Path, typer.Option("--out", help="Where to write it.")] = Path("classifier.json"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    columns: ColumnsOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Which queries are held out together.")] = 0,
    config: ConfigOption = DEFAULT_CONFIG,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from labelled queries, or from the log, which ones the cheap model answers badly."""
    import numpy as np

    from bandit_router.evaluation.report.trained import about, trained_page, trained_tables, verdicts
    from bandit_router.evaluation.training.examples import Pair
    from bandit_router.evaluation.training.logistic import FOLDS
    from bandit_router.evaluation.training.threshold import Target
    from bandit_router.evaluation.training.train import train_on

    if target.exists() and not force:
        raise RouterError(f"{target} is there already; use --force to replace it")
    check_page(report)
    pair = Pair(cheap=cheap, expensive=expensive)
    wanted = Target(quality=quality, usd_per_request=usd_per_request)
    if data is not None and log is None:
        examples = _labelled(data, columns, config, pair, low, quiet=as_json)
    elif log is not None and data is None:
        examples = _logged(log, router, pair, low)
    else:
        raise InvalidInput("data", "and log exclude each other", "give exactly one of --data and --log")
    with progress_bar("training", FOLDS + 1, quiet=as_json) as step:
        trained = train_on(examples, wanted, np.random.default_rng(seed), step)
    made = trained.classifier(datetime.now(UTC).isoformat(timespec="seconds"))
    save_classifier(made, target)
    if as_json:
        print_json({"file": str(target), "classifier": made.digest, **_facts(made), "metrics": made.metrics})
    else:
        say(about(trained))
        for part in trained_tables(trained):
            out.print(part)
        for verdict in verdicts(trained):
            say(verdict)
        _say_next(trained, made, target)
    if report is not None:
        write_page(report, trained_page(trained, title=f"Classifier {made.digest}"), quiet=as_json)


def _labelled(
    data: str, columns: str | None, config: Path, pair: Pair, low: float, *, quiet: bool
) -> Examples:
    """With the contexts that the router of the settings file makes, or a router by default without one."""
    import numpy as np

    from bandit_router.evaluation.datasets import load_dataset
    from bandit_router.evaluation.training.examples import examples_of_dataset

    features = load_settings(config).features.model_dump() if config.exists() else {}
    dataset = load_dataset(data, columns=read_columns(columns))
    pair.columns(dataset.models)
    pipeline = build_pipeline(**features)
    contexts = [pipeline.context(query) for query in read_queries(dataset, quiet=quiet)]
    return examples_of_dataset(dataset, np.array(contexts), pair, schema_id=pipeline.schema_id, low=low)


def _logged(log: str, router: str, pair: Pair, low: float) -> Examples:
    from bandit_router.evaluation.logs.read import open_log
    from bandit_router.evaluation.training.examples import examples_of_log

    source = without_passwords(log) if "://" in log else log
    with open_log(log, router) as opened:
        return examples_of_log(
            opened.pieces, opened.arms, pair, schema_id=opened.info["schema_id"], source=source, low=low
        )


def _facts(made: Classifier) -> dict[str, object]:
    names = ("schema_id", "cheap", "expensive", "threshold", "threshold_why", "trained_at", "source")
    return {name: getattr(made, name) for name in names}


def _say_next(trained: Trained, made: Classifier, target: Path) -> None:
    pair = trained.examples.pair
    say(f"wrote {target} (classifier {made.digest}); to route by it, in router.toml:")
    say(f'  [classifier]\n  artifact = "{target}"')
    say(
        f'  [policy]\n  name = "classifier"\n  cheap = "{pair.cheap}"\n  expensive = "{pair.expensive}"\n'
        f"  threshold = {made.threshold!r}"
    )
