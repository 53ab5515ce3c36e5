"""Commands about what policies are worth. What they need beyond routing is imported when one runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, out, print_json, say
from bandit_router.config import load_settings
from bandit_router.errors import InvalidInput, RouterError
from bandit_router.policies import Policy, parse_policy
from bandit_router.store.store import Store

if TYPE_CHECKING:
    from bandit_router.evaluation.logs.read import Log

PolicyOption = Annotated[
    list[str] | None,
    typer.Option("--policy", "-p", help="As thompson or linucb:alpha=0.3,epsilon=0.02; may be repeated."),
]
ReportOption = Annotated[Path | None, typer.Option(help="Write one HTML page that works offline.")]
JobsOption = Annotated[int, typer.Option(help="Processes to work with; -1 is one for each core.")]
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

    settings = load_settings(config)
    with closing(Store.open(settings.store.url, settings.router.name)) as store, store.auditing() as audit:
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
    router: Annotated[str, typer.Option(help="The router, in a database of several.")] = "default",
    replay: Annotated[int, typer.Option(min=0, help="Also replay policies that learn, so many times.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Show refused figures, marked.")] = False,
    report: ReportOption = None,
    jobs: JobsOption = -1,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say from a log what policies would have earned and cost, and when not to believe it."""
    from bandit_router.evaluation import evaluate as evaluation
    from bandit_router.evaluation.estimators import ESTIMATORS
    from bandit_router.evaluation.logs.read import open_log
    from bandit_router.evaluation.parallel import workers
    from bandit_router.evaluation.replay import replays
    from bandit_router.evaluation.report.as_json import evaluation_json, plain
    from bandit_router.evaluation.report.page import evaluation_page
    from bandit_router.evaluation.report.replayed import left_out_lines, replay_table
    from bandit_router.evaluation.report.tables import evaluation_tables

    if estimator is not None and estimator not in ESTIMATORS:
        raise InvalidInput("estimator", f"{estimator!r} is not one", f"use one of {', '.join(ESTIMATORS)}")
    policies = _policies(policy or [])
    with open_log(log, router) as opened, workers(jobs, cluster):
        shown = estimator or headline(opened)
        needs_prior = any(evaluation.learns(one) for one in policies.values())
        prior = opened.posterior() if needs_prior else None
        with _progress("evaluating", evaluation.PASSES * len(opened.pieces), quiet=as_json) as step:
            found = evaluation.evaluate(
                opened.pieces,
                opened.arms,
                policies,
                rows=opened.rows,
                prior=prior,
                headline=shown,
                cost_weight=cost_weight,
                progress=step,
            )
        learning = {name: one for name, one in policies.items() if evaluation.learns(one)}
        with _progress("replaying", replay * len(learning), quiet=as_json) as step:
            played = replays(
                opened.pieces, learning, prior, seeds=replay, cost_weight=cost_weight, progress=step
            )
        left_out = left_out_lines(opened.left_out)
    if report is not None:
        _write(report, evaluation_page(found, shown, title=f"What {log} says"))
    if as_json:
        print_json(
            evaluation_json(found) | {"estimator": shown, "replays": plain(played), "left_out": left_out}
        )
        return
    for part in evaluation_tables(found, shown, force=force):
        out.print(part)
    for line in left_out:
        say(line)
    if played:
        out.print(replay_table(played))
    if report is not None:
        say(f"wrote {report}")


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
    event: Annotated[
        list[str] | None,
        typer.Option(help="price:ARM@QUERY=FACTOR, quality:ARM@QUERY=ARM, join:ARM@QUERY, leave:ARM@QUERY."),
    ] = None,
    delay: Annotated[float, typer.Option(help="Queries until feedback comes, on average.")] = 0.0,
    missing: Annotated[float, typer.Option(help="Share of feedback that never comes.")] = 0.0,
    duplicated: Annotated[float, typer.Option(help="Share of feedback that comes twice.")] = 0.0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out queries with a bad row.")] = False,
    report: ReportOption = None,
    jobs: JobsOption = -1,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play policies, cold, on data where the outcome of every model is known."""
    from bandit_router.evaluation.datasets import load_dataset
    from bandit_router.evaluation.parallel import workers
    from bandit_router.evaluation.report.as_json import simulation_json
    from bandit_router.evaluation.report.page import simulation_page
    from bandit_router.evaluation.report.tables import simulation_table
    from bandit_router.evaluation.simulation import simulate as simulation
    from bandit_router.evaluation.simulation.agents import RouterMaker
    from bandit_router.evaluation.simulation.channel import Channel
    from bandit_router.evaluation.simulation.events import parse_event
    from bandit_router.evaluation.simulation.stream import make_stream
    from bandit_router.features import build_pipeline, read_query

    events = tuple(parse_event(text) for text in event or [])
    channel = Channel(delay=delay, missing=missing, duplicated=duplicated)
    dataset = load_dataset(data, models=models.split(",") if models else None, skip_bad=skip_bad)
    specs = [*_policies(policy or ["thompson"])]
    pipeline = build_pipeline()
    with _progress("reading queries", len(dataset.queries), quiet=as_json) as step:
        contexts = []
        for query in dataset.queries:
            contexts.append(pipeline.context(read_query(query)))
            step(1)
    stream = make_stream(dataset, contexts)
    if cost_weight is None:
        cost_weight = trade / float(dataset.cost_usd.mean(axis=0).max())
    plan = simulation.Plan(
        stream=stream,
        cost_weight=cost_weight,
        seeds=seeds,
        queries=queries,
        events=events,
        channel=channel,
    )
    with workers(jobs, cluster), _progress("playing", seeds * (1 + len(specs)), quiet=as_json) as step:
        found = simulation.simulate(plan, {spec: RouterMaker(spec) for spec in specs}, step)
    if report is not None:
        _write(report, simulation_page(found, title=f"Policies on {found.name}"))
    if as_json:
        print_json(simulation_json(found))
        return
    out.print(simulation_table(found))
    if report is not None:
        say(f"wrote {report}")


def headline(log: Log) -> str:
    """The estimator whose intervals fit the log: a policy that learned made rows that are not independent."""
    from bandit_router.evaluation.evaluate import learns

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
def _progress(what: str, steps: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not steps) as bar:
        task = bar.add_task(what, total=steps)
        yield lambda done: bar.advance(task, done)


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RouterError(f"{path} cannot be written: {error.strerror}") from error
