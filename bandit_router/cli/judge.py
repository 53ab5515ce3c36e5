"""`judge`: have stored answers judged, or say how far the judge of the log agrees with people."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, print_json, print_line, print_warning, progress_bar
from bandit_router.errors import InvalidInput
from bandit_router.gateway.arms import open_arm
from bandit_router.gateway.judge.comparisons import (
    ArmPoints,
    JudgeTask,
    Standings,
    load_answered_queries,
    plan_tasks,
    score_arms,
)
from bandit_router.gateway.judge.offline import JudgePlan, JudgeReport, judge_answers
from bandit_router.gateway.judge.prompt import JudgeQuestion, read_judge_prompt
from bandit_router.gateway.judge.verdict_file import VerdictFile, open_verdicts
from bandit_router.insight.agreement import Agreement, measure_agreement, measure_by_arm
from bandit_router.insight.intervals import Estimate, estimate_mean, estimate_share
from bandit_router.insight.rated_answers import read_rated_answers
from bandit_router.objective.reward import check_metric_name
from bandit_router.router import AsyncRouter
from bandit_router.settings import Settings, load_settings
from bandit_router.types import JUDGED


def judge(
    answers: Annotated[
        Path | None,
        typer.Argument(help='JSONL: {"query": …, "answers": {"ARM": …, …}, "reference": …} on each line.'),
    ] = None,
    agreement: Annotated[
        bool, typer.Option("--agreement", metavar="", help="Compare a metric of the log with people instead.")
    ] = False,
    arm: Annotated[str | None, typer.Option(help="The arm that judges, if not judge.arm.")] = None,
    references: Annotated[
        bool,
        typer.Option("--references", metavar="", help="Compare with references instead of with each other."),
    ] = False,
    target: Annotated[Path, typer.Option("--out", help="The file of verdicts; run again to go on.")] = Path(
        "verdicts.jsonl"
    ),
    budget: Annotated[float, typer.Option(min=0.0, help="Most that the run may cost, USD.")] = 1.0,
    prompt: Annotated[Path | None, typer.Option(help="A file with another prompt.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="Calls at once.")] = 4,
    metric: Annotated[str, typer.Option(help="The metric that people give, for --agreement.")] = "quality",
    of: Annotated[
        str, typer.Option(help="What is compared with it, such as regenerated, for --agreement.")
    ] = JUDGED,
    good: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="An answer is good from this value on.")
    ] = 0.5,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Have stored answers compared in both orders, or with references; or measure agreement with people."""
    if agreement == (answers is not None):
        raise InvalidInput("answers", "or --agreement is needed, not both", "name a file, or --agreement")
    settings = load_settings(config)
    if answers is None:
        for each in (metric, of):
            check_metric_name(each, settings.scales())
        _report_agreement(config, metric, of, good, as_json=as_json)
        return
    question = JudgeQuestion.REFERENCE if references else JudgeQuestion.PAIRWISE
    name = arm or settings.judge.arm
    section = next((each for each in settings.arms if each.name == name), None)
    if section is None:
        raise InvalidInput("arm", f"{name!r} is no arm of {config}", "name the judge with --arm or judge.arm")
    wording = read_judge_prompt(question, prompt, settings.judge.rubric)
    tasks = plan_tasks(load_answered_queries(answers), wording, section.name)
    if not tasks:
        wanted = "a reference" if references else "answers of two arms beside the judge"
        raise InvalidInput("answers", f"has no query with {wanted}", "add some")
    with open_verdicts(target) as verdicts:
        plan = JudgePlan(
            arm=open_arm(section),
            question=question,
            tasks=tasks,
            usd=budget,
            max_output_tokens=settings.judge.max_output_tokens,
            concurrency=concurrency,
        )
        report = _run(settings, plan, verdicts, quiet=as_json)
        board = score_arms(tasks, verdicts.verdicts)
        left = len({task.key for task in tasks} - verdicts.verdicts.keys())
    if report.stopped is not None:
        print_warning(f"stopped: {report.stopped}")
    _report_scores(board, report, tasks, left, target, as_json=as_json)


def _run(settings: Settings, plan: JudgePlan, verdicts: VerdictFile, *, quiet: bool) -> JudgeReport:
    left = len({task.key for task in plan.tasks} - verdicts.verdicts.keys())
    silent = settings.learner.model_copy(update={"interval_s": 3600.0})

    async def run() -> JudgeReport:
        opened = AsyncRouter.open(settings.model_copy(update={"learner": silent}), apply="never")
        async with opened as router:
            with progress_bar("judging", left, quiet=quiet) as step:
                try:
                    return await judge_answers(router, plan, verdicts, lambda usd: step(1, f"{usd:.4f} USD"))
                finally:
                    await plan.arm.provider.aclose()

    return asyncio.run(run())


def _report_scores(
    board: Standings,
    report: JudgeReport,
    tasks: list[JudgeTask],
    left: int,
    target: Path,
    *,
    as_json: bool,
) -> None:
    pairwise = len(tasks[0].arms) == 2
    estimates = {arm: _estimate(score, pairwise=pairwise) for arm, score in sorted(board.arms.items())}
    if as_json:
        arms = {
            arm: {**estimate._asdict(), "abstained": board.arms[arm].abstained}
            for arm, estimate in estimates.items()
        }
        counts = {"comparisons": board.comparisons, "abstained": board.abstained}
        run = {"asked": report.asked, "failed": report.failed, "left": left, "usd": report.spent_usd}
        print_json({"file": str(target), "arms": arms, **counts, **run})
        return
    table = Table("model", "points", "verdicts", "abstained")
    for arm, estimate in estimates.items():
        table.add_row(arm, _format(estimate), str(estimate.n), str(board.arms[arm].abstained))
    console.print(table)
    print_line(
        f"{report.asked} prompts asked, {report.failed} failed, {left} left; {report.spent_usd:.4f} USD "
        f"in all; verdicts are in {target}"
    )


def _estimate(score: ArmPoints, *, pairwise: bool) -> Estimate:
    """The mean of an arm's points: a share of comparisons won, or a mean score."""
    if pairwise:
        return estimate_share(score.points, score.n)
    return estimate_mean(score.n, score.points, score.squares)


def _report_agreement(config: Path, metric: str, of: str, good: float, *, as_json: bool) -> None:
    with open_existing_store(config) as store:
        answers = read_rated_answers(store, metric, of)
    by_arm, together = measure_by_arm(answers, good), measure_agreement(answers, good)
    if as_json:
        arms = {arm: _facts(agreement) for arm, agreement in by_arm.items()}
        print_json({"metric": metric, "of": of, "good": good, "arms": arms, "all": _facts(together)})
        return
    if not answers:
        print_line(f"no answer has both {of} and {metric}; rate some of those that have the first")
        return
    table = Table("model", "n", "agreement", "κ", f"{of} − people")
    for arm, agreement in {**by_arm, "all models": together}.items():
        cells = map(_format, (agreement.agreement, agreement.kappa, agreement.bias))
        table.add_row(arm, str(agreement.agreement.n), *cells)
    console.print(table)


def _facts(agreement: Agreement) -> dict[str, object]:
    return {
        "agreement": agreement.agreement._asdict(),
        "kappa": agreement.kappa._asdict(),
        "bias": agreement.bias._asdict(),
    }


def _format(estimate: Estimate) -> str:
    """The value, and its interval in parentheses."""
    if estimate.value is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} … {estimate.high:.2f})"
