"""Commands about what policies are worth. What they need beyond routing is imported when one runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bandit_router.cli.checks import LARGEST_WEIGHT, check_page, check_weight, read_columns
from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ColumnsOption,
    ConfigOption,
    JsonOption,
    RouterOption,
    out,
    print_json,
    say,
    store_as_it_is,
    warn,
)
from bandit_router.errors import InvalidInput, RouterError
from bandit_router.features import read_query
from bandit_router.policies import Policy, check_arms, learns, parse_policy, signals_needed
from bandit_router.signals.classifier import P_COMPLEX, Classifier, load_classifier
from bandit_router.store.engine import without_passwords
from bandit_router.types import Budget, Floor, Goal, Query

if TYPE_CHECKING:
    from bandit_router.evaluation.datasets import Dataset
    from bandit_router.evaluation.logs.block import BlockSource
    from bandit_router.evaluation.logs.read import Log
    from bandit_router.evaluation.replay import Replayed
    from bandit_router.evaluation.simulation.stream import Stream

PolicyOption = Annotated[
    list[str] | None,
    typer.Option("--policy", "-p", help="As thompson or linucb:alpha=0.3,epsilon=0.02; may be repeated."),
]
ReportOption = Annotated[Path | None, typer.Option(help="Write one HTML page that works offline.")]
JobsOption = Annotated[int, typer.Option(help="Processes to work with; -1 is one for each core.")]
ClassifierOption = Annotated[
    Path | None, typer.Option(help="A file of `train-classifier`, to ask of every query.")
]
ClusterOption = Annotated[
    str | None, typer.Option(help="A Dask scheduler to work on instead, tcp://host:8786.")
]


def export(
    folder: Annotated[Path, typer.Argument(help="Where to write; must be missing or empty.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Write the log of decisions, with their feedback, as Parquet, one folder per UTC day."""
    from bandit_router.evaluation.logs.export import export as write

    with store_as_it_is(config) as store, store.auditing() as audit:
        done = write(audit, folder)
    if as_json:
        facts = {"rows": done.by_reason, "unreadable": done.unreadable, "named": done.named}
        print_json({"folder": str(folder), **facts})
        return
    say(f"exported {done.rows} decisions to {folder}")
    for reason, count in done.by_reason.most_common():
        say(f"  {reason}: {count}")
    if done.unreadable:
        say(f"  left out, unreadable: {done.unreadable}")
    for decision_id, why in done.named.items():
        say(f"    {decision_id}: {why}")


def evaluate(
    log: Annotated[str, typer.Option(help="A database URL, or a folder that `export` wrote.")],
    policy: PolicyOption = None,
    estimator: Annotated[str | None, typer.Option(help="Whose figures to show; see the README.")] = None,
    cost_weight: Annotated[float | None, typer.Option(help="λ, 1/USD; as logged by default.")] = None,
    router: RouterOption = "default",
    replay: Annotated[int, typer.Option(min=0, help="Also replay policies that learn, so many times.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Show refused figures, marked.")] = False,
    report: ReportOption = None,
    jobs: JobsOption = -1,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
    classifier: ClassifierOption = None,
) -> None:
    """Say from a log what policies would have earned and cost, and when not to believe it."""
    from bandit_router.evaluation import evaluate as evaluation
    from bandit_router.evaluation.estimators import ESTIMATORS
    from bandit_router.evaluation.logs.read import open_log
    from bandit_router.evaluation.parallel import workers
    from bandit_router.evaluation.replay import log_refusals, replays
    from bandit_router.evaluation.report.as_json import evaluation_json, plain
    from bandit_router.evaluation.report.page import evaluation_page
    from bandit_router.evaluation.report.replayed import left_out_lines, replay_table
    from bandit_router.evaluation.report.tables import evaluation_tables

    if estimator is not None and estimator not in ESTIMATORS:
        raise InvalidInput("estimator", f"{estimator!r} is not one", f"use one of {', '.join(ESTIMATORS)}")
    check_weight("cost_weight", cost_weight)
    check_page(report)
    policies = _policies(policy or [])
    played: dict[str, list[Replayed]] = {}
    failure: RouterError | None = None
    with workers(jobs, cluster), open_log(log, router) as opened:
        pieces = opened.pieces if classifier is None else _classified(opened, classifier)
        shown = estimator or headline(opened)
        needs_prior = any(learns(one) for one in policies.values())
        prior = opened.posterior() if needs_prior else None
        with progress_bar("evaluating", evaluation.PASSES * len(pieces), quiet=as_json) as step:
            found = evaluation.evaluate(
                pieces,
                opened.arms,
                policies,
                rows=opened.rows,
                prior=prior,
                headline=shown,
                cost_weight=cost_weight,
                progress=step,
            )
        left_out = opened.left_out
        if not as_json:
            for part in (*evaluation_tables(found, shown, force=force), *left_out_lines(left_out)):
                say(part) if isinstance(part, str) else out.print(part)
        learning = {name: one for name, one in policies.items() if learns(one)}
        if replay and not learning:
            warn("--replay: none of the policies learns, so nothing is replayed; add one, as -p thompson")
        try:
            with progress_bar("replaying", replay * len(learning), quiet=as_json) as step:
                played = replays(
                    pieces,
                    learning,
                    prior,
                    seeds=replay,
                    cost_weight=cost_weight,
                    refusals=log_refusals(found),
                    progress=step,
                )
        except RouterError as error:  # the evaluation is worth as much without
            failure = error
    if as_json:
        counts = {why: {"count": some.count, "first": some.ids} for why, some in left_out.items()}
        more = {"estimator": shown, "replays": plain(played), "left_out": plain(counts)}
        print_json(evaluation_json(found) | more)
    elif played:
        out.print(replay_table(played, force=force))
    if report is not None:
        title = f"What {without_passwords(log) if '://' in log else log} says"
        lines = left_out_lines(left_out)
        page = evaluation_page(found, shown, title=title, left_out=lines, replays=played)
        write_page(report, page, quiet=as_json)
    if failure is not None:
        raise failure


def simulate(
    data: Annotated[str, typer.Option(help="paretobandit, or a file of what every model did.")],
    policy: PolicyOption = None,
    models: Annotated[str | None, typer.Option(help="Only these models, separated by commas.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Random orders of the queries.")] = 20,
    queries: Annotated[int | None, typer.Option(min=1, help="Length of the stream; all by default.")] = None,
    cost_weight: Annotated[float | None, typer.Option(help="λ, 1/USD.")] = None,
    trade: Annotated[
        float, typer.Option(help="Or: reward given up to save the mean cost of the dearest model.")
    ] = 0.1,
    usd_per_request: Annotated[
        float | None,
        typer.Option(min=1e-9, help="Pace the cost weight to this budget, USD."),
    ] = None,
    mean_quality: Annotated[
        float | None, typer.Option(help="Pace it to spend no more than this average quality takes.")
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(help="price:ARM@QUERY=FACTOR, quality:ARM@QUERY=ARM, join:ARM@QUERY, leave:ARM@QUERY."),
    ] = None,
    delay: Annotated[float, typer.Option(help="Queries until feedback comes, on average.")] = 0.0,
    missing: Annotated[float, typer.Option(help="Share of feedback that never comes.")] = 0.0,
    duplicated: Annotated[float, typer.Option(help="Share of feedback that comes twice.")] = 0.0,
    columns: ColumnsOption = None,
    prices: Annotated[
        Path | None, typer.Option(help="A file of list prices, for data that records no costs.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out queries with a bad row.")] = False,
    report: ReportOption = None,
    jobs: JobsOption = -1,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
    classifier: ClassifierOption = None,
) -> None:
    """Play policies, cold, on data where the outcome of every model is known."""
    from bandit_router.evaluation.datasets import load_dataset, load_prices
    from bandit_router.evaluation.parallel import workers
    from bandit_router.evaluation.report.as_json import simulation_json
    from bandit_router.evaluation.report.page import simulation_page
    from bandit_router.evaluation.report.tables import simulation_table
    from bandit_router.evaluation.simulation import simulate as simulation
    from bandit_router.evaluation.simulation.agents import RouterMaker
    from bandit_router.evaluation.simulation.channel import Channel
    from bandit_router.evaluation.simulation.events import parse_event

    check_weight("cost_weight", cost_weight)
    check_weight("trade", trade)
    goal = _goal(usd_per_request, mean_quality)
    check_page(report)
    events = tuple(parse_event(text) for text in event or [])
    channel = Channel(delay=delay, missing=missing, duplicated=duplicated)
    policies = _policies(policy or ["tempered"])
    for name, one in policies.items():
        if classifier is None and P_COMPLEX in signals_needed(one):
            raise InvalidInput(f"policy {name}", "needs a classifier", "give --classifier FILE")
    with workers(jobs, cluster):
        dataset = load_dataset(
            data,
            columns=read_columns(columns),
            prices=None if prices is None else load_prices(prices),
            models=[name.strip() for name in models.split(",")] if models else None,
            skip_bad=skip_bad,
        )
        check_arms(policies, dataset.models)
        plan = simulation.Plan(
            stream=_stream(dataset, classifier, quiet=as_json),
            cost_weight=_traded(dataset, trade) if cost_weight is None else cost_weight,
            seeds=seeds,
            queries=queries,
            events=events,
            channel=channel,
        )
        with progress_bar("playing", seeds * (1 + len(policies)), quiet=as_json) as step:
            found = simulation.simulate(plan, {spec: RouterMaker(spec, goal=goal) for spec in policies}, step)
    if as_json:
        print_json(simulation_json(found))
    else:
        out.print(simulation_table(found))
    if report is not None:
        write_page(report, simulation_page(found, title=f"Policies on {found.name}"), quiet=as_json)


def _classified(log: Log, path: Path) -> Sequence[BlockSource]:
    from bandit_router.evaluation.classified import classified_pieces

    return classified_pieces(log, _load(path), path)


def _load(path: Path) -> Classifier:
    """The classifier in a file; says what it learned from."""
    found = load_classifier(path)
    warn(f"classifier {found.digest} learned from {found.source}: of those it knows more than of others")
    return found


def _stream(dataset: Dataset, classifier: Path | None, *, quiet: bool) -> Stream:
    from bandit_router.evaluation.classified import classified_stream
    from bandit_router.evaluation.simulation.stream import make_stream
    from bandit_router.features import build_pipeline
    from bandit_router.signals.rules import make_rules, shipped_rules

    pipeline, rules = build_pipeline(), make_rules(shipped_rules())
    judge = None if classifier is None else _load(classifier)
    if judge is not None:
        judge.check_schema(pipeline.schema_id, pipeline.dim, str(classifier))
    contexts, signals = [], []
    for query in read_queries(dataset, quiet=quiet):
        contexts.append(pipeline.context(query))
        signals.append(rules(query))
    stream = make_stream(dataset, contexts, signals)
    return stream if judge is None else classified_stream(stream, judge)


def _goal(usd_per_request: float | None, mean_quality: float | None) -> Goal | None:
    if mean_quality is None:
        return None if usd_per_request is None else Budget(usd=usd_per_request)
    if usd_per_request is not None:
        raise InvalidInput("mean_quality", "comes with usd_per_request", "give one of the two")
    if not 0.0 < mean_quality < 1.0:
        raise InvalidInput("mean_quality", f"is {mean_quality:g}", "give a number above 0 and below 1")
    return Floor(reward=mean_quality)


def _traded(dataset: Dataset, trade: float) -> float:
    """The λ that gives up ``trade`` to save the dearest model; 0 when nothing costs anything."""
    dearest = float(dataset.cost_usd.mean(axis=0).max())
    weight = trade / dearest if dearest > 0.0 else 0.0
    if weight > LARGEST_WEIGHT:
        problem = f"is {trade:g}, which makes the cost weight {weight:g}"
        raise InvalidInput("trade", problem, f"give less, or a cost weight of at most {LARGEST_WEIGHT:g}")
    return weight


def headline(log: Log) -> str:
    """The estimator whose intervals fit the log: a policy that learned made rows that are not independent."""
    for spec in log.info.get("policies", ()):
        try:
            if learns(parse_policy(spec)):
                return "stabilised-dr"
        except RouterError:  # a policy of another version of this package
            continue
    return "dr"


def _policies(specs: list[str]) -> dict[str, Policy]:
    found = {}
    for spec in specs:
        if spec in found:
            raise InvalidInput("policy", f"{spec} is given twice", "give it once")
        found[spec] = parse_policy(spec)
    return found


@contextmanager
def progress_bar(what: str, steps: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """What takes a while, on stderr, in so many steps; the callable hears of those done."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not steps) as bar:
        task = bar.add_task(what, total=steps)
        yield lambda done: bar.advance(task, done)


def read_queries(dataset: Dataset, *, quiet: bool) -> Iterator[Query]:
    """The queries of the data, one by one; whoever makes contexts of them takes a while."""
    with progress_bar("reading queries", len(dataset.queries), quiet=quiet) as step:
        for text in dataset.queries:
            yield read_query(text)
            step(1)


def write_page(path: Path, page: str, *, quiet: bool) -> None:
    """Write the page and say so. Raises RouterError."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RouterError(f"{path} cannot be written: {error.strerror}") from error
    if not quiet:
        say(f"wrote {path}")
