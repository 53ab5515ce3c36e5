"""`evaluate`: what other policies would have earned, from a log. Its libraries are imported when it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bandit_router.cli.option_values import check_weight, parse_policies, read_classifier
from bandit_router.cli.options import (
    ClassifierOption,
    ClusterOption,
    JobsOption,
    JsonOption,
    PolicyOption,
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
from bandit_router.policies import parse_policy
from bandit_router.store.engine import hide_passwords

if TYPE_CHECKING:
    from bandit_router.evaluation.answers import Evaluation
    from bandit_router.evaluation.block import BlockSource
    from bandit_router.evaluation.logs.read import Log
    from bandit_router.evaluation.logs.screen import LeftOut
    from bandit_router.evaluation.replay import ReplayResult

_NO_PROPENSITIES = (
    "the log has no propensities: dm predicts what each model would have earned from what is known of a "
    "query, and is wrong where choices went by something else"
)
_NOTHING_TO_REPLAY = (
    "--replay: none of the policies learns, so nothing is replayed; add one, such as -p thompson"
)


def evaluate(
    log: Annotated[str, typer.Option(help="A database URL, or a folder that `export` wrote.")],
    policy: PolicyOption = None,
    estimator: Annotated[
        str | None, typer.Option(help="The estimator whose figures to show; by default the log decides.")
    ] = None,
    cost_weight: Annotated[
        float | None,
        typer.Option(callback=check_weight, help="Cost weight λ, 1/USD; by default as logged."),
    ] = None,
    router: RouterOption = "default",
    replay: Annotated[
        int, typer.Option(min=0, help="Number of replays of each policy that learns; 0 for none.")
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Show refused figures too, marked.")
    ] = False,
    report: ReportOption = None,
    jobs: JobsOption = -1,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
    classifier: ClassifierOption = None,
) -> None:
    """Estimate from a log what policies would have earned and cost, and say which figures to distrust."""
    from bandit_router.evaluation import evaluate as evaluation
    from bandit_router.evaluation.estimators import ESTIMATORS
    from bandit_router.evaluation.logs.read import open_log
    from bandit_router.evaluation.parallel import workers
    from bandit_router.evaluation.replay import log_refusals, replay_policies
    from bandit_router.evaluation.report.as_json import evaluation_json, json_value
    from bandit_router.evaluation.report.pages import evaluation_page
    from bandit_router.evaluation.report.replay_tables import describe_left_out, replay_table

    if estimator is not None and estimator not in ESTIMATORS:
        problem = f"{estimator!r} is not an estimator"
        raise InvalidInput("estimator", problem, f"use one of {', '.join(ESTIMATORS)}")
    policies = parse_policies(policy or [])
    learners = {name: target for name, target in policies.items() if target.learns}
    replayed: dict[str, list[ReplayResult]] = {}
    replay_error: RouterError | None = None
    with workers(jobs, cluster), open_log(log, router) as opened:
        if replay and opened.propensities != "logged":
            raise InvalidInput(
                "replay", "needs the whole PMF of every choice", "leave --replay out: the log has none"
            )
        pieces = opened.pieces if classifier is None else _classified_pieces(opened, classifier)
        estimator = estimator or default_estimator(opened)
        if opened.propensities == "unknown":
            print_warning(_NO_PROPENSITIES)
        prior = opened.statistics() if learners else None
        with progress_bar("evaluating", evaluation.PASSES * len(pieces), quiet=as_json) as step:
            result = evaluation.evaluate(
                pieces,
                opened.arms,
                policies,
                rows=opened.rows,
                prior=prior,
                headline=estimator,
                cost_weight=cost_weight,
                propensities=opened.propensities,
                progress=step,
            )
        left_out = opened.left_out
        if not as_json:
            _print_evaluation(result, estimator, left_out, force)
        if replay and not learners:
            print_warning(_NOTHING_TO_REPLAY)
        try:
            with progress_bar("replaying", replay * len(learners), quiet=as_json) as step:
                replayed = replay_policies(
                    pieces,
                    learners,
                    prior,
                    seeds=replay,
                    cost_weight=cost_weight,
                    refusals=log_refusals(result),
                    progress=step,
                )
        except RouterError as error:  # raised at the end: the evaluation itself is still worth showing
            replay_error = error
    if as_json:
        counts = {reason: {"count": rows.count, "first": rows.ids} for reason, rows in left_out.items()}
        more = {"estimator": estimator, "replays": json_value(replayed), "left_out": json_value(counts)}
        print_json(evaluation_json(result) | more)
    elif replayed:
        console.print(replay_table(replayed, force=force))
    if report is not None:
        title = f"What {hide_passwords(log) if '://' in log else log} says"
        lines = describe_left_out(left_out)
        page = evaluation_page(result, estimator, title=title, left_out=lines, replays=replayed)
        write_report_page(report, page, quiet=as_json)
    if replay_error is not None:
        raise replay_error


def default_estimator(log: Log) -> str:
    """The estimator whose intervals fit the log: rows of a policy that learned are not independent."""
    if log.propensities == "unknown":
        return "dm"
    for spec in log.info.get("policies", ()):
        try:
            if parse_policy(spec).learns:
                return "stabilised-dr"
        except RouterError:  # a policy of another version of this package
            continue
    return "dr"


def _print_evaluation(
    result: Evaluation, estimator: str, left_out: Mapping[str, LeftOut], force: bool
) -> None:
    from bandit_router.evaluation.report.evaluation_tables import evaluation_tables
    from bandit_router.evaluation.report.replay_tables import describe_left_out

    for block in (*evaluation_tables(result, estimator, force=force), *describe_left_out(left_out)):
        print_line(block) if isinstance(block, str) else console.print(block)


def _classified_pieces(log: Log, path: Path) -> Sequence[BlockSource]:
    """The pieces of a log with the probabilities of the classifier in a file."""
    from bandit_router.evaluation.classified import classify_log

    return classify_log(log, read_classifier(path), path)
