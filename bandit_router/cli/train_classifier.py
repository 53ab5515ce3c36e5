"""`train-classifier`: learn which queries are complex. Its libraries are imported when it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bandit_router.cli.data_options import NO_DATA_OPTIONS, DataOptions, with_data_options
from bandit_router.cli.dataset_queries import read_queries
from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    LabelsOption,
    LogOption,
    ReportOption,
    RouterOption,
)
from bandit_router.cli.output import (
    console,
    print_json,
    print_line,
    print_warning,
    progress_bar,
    write_report_page,
)
from bandit_router.errors import InvalidInput, RouterError
from bandit_router.features import build_pipeline
from bandit_router.settings import load_settings
from bandit_router.signals.classifier import Classifier, save_classifier
from bandit_router.store.engine import hide_passwords

if TYPE_CHECKING:
    from bandit_router.evaluation.training.examples import ModelPair, TrainingExamples
    from bandit_router.evaluation.training.train import TrainedClassifier


@with_data_options
def train_classifier(
    cheap: Annotated[str, typer.Option(help="The model for simple queries.")],
    expensive: Annotated[str, typer.Option(help="The model for complex queries.")],
    data: LabelsOption = None,
    log: LogOption = None,
    router: RouterOption = "default",
    low: Annotated[
        float, typer.Option(help="A query is complex if the cheap model's quality is below this.")
    ] = 0.5,
    quality: Annotated[
        float | None,
        typer.Option(help="Choose the threshold that keeps this share of the expensive quality."),
    ] = None,
    usd_per_request: Annotated[
        float | None,
        typer.Option(help="Choose the threshold that costs at most this, USD. Without either it is 0.7."),
    ] = None,
    target: Annotated[Path, typer.Option("--out", help="Where to write the classifier.")] = Path(
        "classifier.json"
    ),
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace an existing file.")] = False,
    loading: DataOptions = NO_DATA_OPTIONS,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split into held-out folds.")] = 0,
    config: ConfigOption = DEFAULT_CONFIG,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a classifier to tell which queries the cheap model answers badly, from labels or from a log."""
    import numpy as np

    from bandit_router.evaluation.report.classifier_tables import classifier_tables, describe_training
    from bandit_router.evaluation.report.pages import classifier_page
    from bandit_router.evaluation.report.verdicts import classifier_verdicts
    from bandit_router.evaluation.training.examples import ModelPair
    from bandit_router.evaluation.training.logistic import FOLDS
    from bandit_router.evaluation.training.threshold import ThresholdTarget
    from bandit_router.evaluation.training.train import train_classifier_on

    if target.exists() and not force:
        raise RouterError(f"{target} already exists; use --force to replace it")
    pair = ModelPair(cheap=cheap, expensive=expensive)
    objective = ThresholdTarget(quality=quality, usd_per_request=usd_per_request)
    if data is not None and log is None:
        examples = _examples_of_data(
            data, loading, config, pair, low, priced=usd_per_request is not None, quiet=as_json
        )
    elif log is not None and data is None:
        examples = _examples_of_log(log, router, pair, low)
    else:
        raise InvalidInput("data", "or log is needed, not both", "give exactly one of --data and --log")
    with progress_bar("training", FOLDS + 1, quiet=as_json) as step:
        trained = train_classifier_on(examples, objective, np.random.default_rng(seed), step)
    classifier = trained.classifier(datetime.now(UTC).isoformat(timespec="seconds"))
    save_classifier(classifier, target)
    if as_json:
        facts = {"file": str(target), "classifier": classifier.digest, **_classifier_facts(classifier)}
        print_json(facts | {"metrics": classifier.metrics})
    else:
        print_line(describe_training(trained))
        for table in classifier_tables(trained):
            console.print(table)
        for verdict in classifier_verdicts(trained):
            print_line(verdict)
        _print_next_steps(trained, classifier, target)
    if report is not None:
        page = classifier_page(trained, title=f"Classifier {classifier.digest}")
        write_report_page(report, page, quiet=as_json)


def _examples_of_data(
    data: str,
    loading: DataOptions,
    config: Path,
    pair: ModelPair,
    low: float,
    *,
    priced: bool,
    quiet: bool,
) -> TrainingExamples:
    """The labelled queries, with the contexts of the settings file; without a file, default contexts.

    Costs may be unknown unless something is ``priced``; they are shown as 0 then.
    """
    import numpy as np

    from bandit_router.evaluation.training.examples import examples_of_dataset

    features = load_settings(config).features.pipeline() if config.exists() else {}
    dataset = loading.load(data, need_costs=priced)
    if np.isnan(dataset.cost_usd).any():
        print_warning("the data records no costs, which are shown as 0; give prices (--prices) to see them")
        dataset = dataset.with_unknown_costs_free()
    pair.columns(dataset.models)
    pipeline = build_pipeline(**features)
    contexts = [pipeline.context(query) for query in read_queries(dataset, quiet=quiet)]
    return examples_of_dataset(dataset, np.array(contexts), pair, schema_id=pipeline.schema_id, low=low)


def _examples_of_log(log: str, router: str, pair: ModelPair, low: float) -> TrainingExamples:
    from bandit_router.evaluation.logs.read import open_log
    from bandit_router.evaluation.training.examples import examples_of_log

    source = hide_passwords(log) if "://" in log else log
    with open_log(log, router) as opened:
        if opened.propensities == "unknown":
            raise InvalidInput(
                "log",
                "does not know the probability of its choices, so who was asked what cannot be made up for",
                "train from labels (--data), or import a log with propensities",
            )
        return examples_of_log(
            opened.pieces, opened.arms, pair, schema_id=opened.info["schema_id"], source=source, low=low
        )


def _classifier_facts(classifier: Classifier) -> dict[str, object]:
    names = ("schema_id", "cheap", "expensive", "threshold", "threshold_why", "trained_at", "source")
    return {name: getattr(classifier, name) for name in names}


def _print_next_steps(trained: TrainedClassifier, classifier: Classifier, target: Path) -> None:
    pair = trained.examples.pair
    print_line(f"wrote {target} (classifier {classifier.digest}); to route by it, in router.toml:")
    print_line(f'  [classifier]\n  artifact = "{target}"')
    print_line(
        f'  [policy]\n  name = "classifier"\n  cheap = "{pair.cheap}"\n  expensive = "{pair.expensive}"\n'
        f"  threshold = {classifier.threshold!r}"
    )
