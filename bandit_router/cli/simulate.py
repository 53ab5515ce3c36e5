"""`simulate`: play policies on full-information data. Its libraries are imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bandit_router.cli.data_options import NO_DATA_OPTIONS, DataOptions, with_data_options
from bandit_router.cli.dataset_queries import read_queries
from bandit_router.cli.option_values import (
    LARGEST_WEIGHT,
    check_weight,
    parse_policies,
    parse_safety,
    read_classifier,
)
from bandit_router.cli.options import (
    ClassifierOption,
    ClusterOption,
    JobsOption,
    JsonOption,
    PolicyOption,
    ReportOption,
)
from bandit_router.cli.output import console, print_json, progress_bar, write_report_page
from bandit_router.errors import InvalidInput
from bandit_router.policies import check_named_arms, list_computed_signals
from bandit_router.signals.classifier import P_COMPLEX
from bandit_router.types import Budget, Floor, Goal

if TYPE_CHECKING:
    from bandit_router.evaluation.datasets import Dataset
    from bandit_router.evaluation.simulation.stream import Stream
    from bandit_router.objective.safety import SafetyGoal


@with_data_options
def simulate(
    data: Annotated[str, typer.Option(help="paretobandit, or a file with every model's outcomes.")],
    policy: PolicyOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of random orders of the queries.")] = 20,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Number of queries in each order; all by default.")
    ] = None,
    cost_weight: Annotated[
        float | None, typer.Option(callback=check_weight, help="Cost weight λ, 1/USD.")
    ] = None,
    trade: Annotated[
        float,
        typer.Option(
            callback=check_weight,
            help="Reward given up to save the mean cost of the dearest model: λ without a --cost-weight.",
        ),
    ] = 0.1,
    usd_per_request: Annotated[
        float | None,
        typer.Option(min=1e-9, help="Pace λ so that a request costs at most this on average, USD."),
    ] = None,
    mean_quality: Annotated[
        float | None, typer.Option(help="Pace λ to keep this average quality as cheaply as possible.")
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="price:ARM@QUERY=FACTOR, quality:ARM@QUERY=ARM, join:ARM@QUERY or leave:ARM@QUERY; "
            "repeatable."
        ),
    ] = None,
    delay: Annotated[float, typer.Option(help="Mean number of queries until feedback comes.")] = 0.0,
    missing: Annotated[float, typer.Option(help="Share of feedback that never comes.")] = 0.0,
    duplicated: Annotated[float, typer.Option(help="Share of feedback that comes twice.")] = 0.0,
    safety: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARM=SHARE",
            help="Play policies that learn with a bound on their loss, too: large=0.02; repeatable.",
        ),
    ] = None,
    loading: DataOptions = NO_DATA_OPTIONS,
    report: ReportOption = None,
    jobs: JobsOption = -1,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
    classifier: ClassifierOption = None,
) -> None:
    """Play policies from a cold start on data where the outcome of every model is known."""
    from bandit_router.evaluation.parallel import workers
    from bandit_router.evaluation.report.as_json import simulation_json
    from bandit_router.evaluation.report.pages import simulation_page
    from bandit_router.evaluation.report.simulation_tables import simulation_table
    from bandit_router.evaluation.simulation import simulate as simulation
    from bandit_router.evaluation.simulation.channel import Channel
    from bandit_router.evaluation.simulation.events import parse_event
    from bandit_router.evaluation.simulation.router_agent import RouterMaker

    goal, bounds = _make_goal(usd_per_request, mean_quality), [parse_safety(text) for text in safety or []]
    events = tuple(parse_event(text) for text in event or [])
    channel = Channel(delay=delay, missing=missing, duplicated=duplicated)
    policies = parse_policies(policy or ["tempered"])
    for name, target in policies.items():
        if classifier is None and P_COMPLEX in list_computed_signals(target):
            raise InvalidInput(f"policy {name}", "needs a classifier", "give --classifier FILE")
    with workers(jobs, cluster):
        dataset = loading.load(data, need_costs=not (cost_weight == 0.0 and goal is None))
        check_named_arms(policies, dataset.models)
        _check_baselines(bounds, dataset.models)
        plan = simulation.Plan(
            stream=_make_stream(dataset.with_unknown_costs_free(), classifier, quiet=as_json),
            cost_weight=_cost_weight_of_trade(dataset, trade) if cost_weight is None else cost_weight,
            seeds=seeds,
            queries=queries,
            events=events,
            channel=channel,
        )
        agents = {spec: RouterMaker(spec, goal=goal) for spec in policies}
        learners = [spec for spec, target in policies.items() if target.learns]
        agents |= {
            f"{spec}, at most {bound.at_most:.1%} below {bound.baseline}": replace(agents[spec], safety=bound)
            for bound in bounds
            for spec in learners
        }
        with progress_bar("playing", seeds * (1 + len(agents)), quiet=as_json) as step:
            result = simulation.simulate(plan, agents, step)
    if as_json:
        print_json(simulation_json(result))
    else:
        console.print(simulation_table(result))
    if report is not None:
        page = simulation_page(result, title=f"Policies on {result.name}")
        write_report_page(report, page, quiet=as_json)


def _make_stream(dataset: Dataset, classifier: Path | None, *, quiet: bool) -> Stream:
    """The dataset with the context and the signals of every query."""
    from bandit_router.evaluation.classified import classify_stream
    from bandit_router.evaluation.simulation.stream import make_stream
    from bandit_router.features import build_pipeline
    from bandit_router.signals.rules import default_rules, make_rules

    pipeline, rules = build_pipeline(), make_rules(default_rules())
    judge = None if classifier is None else read_classifier(classifier)
    if judge is not None:
        judge.check_schema(pipeline.schema_id, pipeline.dim, str(classifier))
    contexts, signals = [], []
    for query in read_queries(dataset, quiet=quiet):
        contexts.append(pipeline.context(query))
        signals.append(rules(query))
    stream = make_stream(dataset, contexts, signals)
    return stream if judge is None else classify_stream(stream, judge)


def _check_baselines(bounds: Sequence[SafetyGoal], arms: Sequence[str]) -> None:
    for bound in bounds:
        if bound.baseline not in arms:
            raise InvalidInput("safety", f"{bound.baseline!r} is not an arm", f"use one of {', '.join(arms)}")


def _make_goal(usd_per_request: float | None, mean_quality: float | None) -> Goal | None:
    if mean_quality is None:
        return None if usd_per_request is None else Budget(usd=usd_per_request)
    if usd_per_request is not None:
        raise InvalidInput("mean_quality", "comes with usd_per_request", "give one of the two")
    if not 0.0 < mean_quality < 1.0:
        raise InvalidInput("mean_quality", f"is {mean_quality:g}", "give a number above 0 and below 1")
    return Floor(reward=mean_quality)


def _cost_weight_of_trade(dataset: Dataset, trade: float) -> float:
    """λ = trade / mean cost of the dearest model, 1/USD; 0 when nothing costs anything."""
    import numpy as np

    dearest = float(np.nanmean(dataset.cost_usd, axis=0).max())
    weight = trade / dearest if dearest > 0.0 else 0.0
    if weight > LARGEST_WEIGHT:
        problem = f"is {trade:g}, which makes the cost weight {weight:g}"
        raise InvalidInput("trade", problem, f"give less, or a cost weight of at most {LARGEST_WEIGHT:g}")
    return weight
