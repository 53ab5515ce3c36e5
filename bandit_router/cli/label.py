"""`label`: ask every arm the same queries, and write how good each answer is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.connect import open_existing_store, open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line, print_warning, progress_bar
from bandit_router.errors import InvalidInput, RouterError
from bandit_router.gateway.arms import open_arm
from bandit_router.gateway.judge.prompt import JudgeQuestion, read_judge_prompt
from bandit_router.gateway.judge.verdict_file import open_verdicts
from bandit_router.labels.answers import open_answers
from bandit_router.labels.ask import Asking, AskPlan, AskReport
from bandit_router.labels.judging import Judging, LabelJudge
from bandit_router.labels.match import Match, grade_answer
from bandit_router.labels.queries import LabelQuery, load_label_queries, pick_logged_queries, pick_queries
from bandit_router.labels.table import Grade, count_unlabelled, write_labels
from bandit_router.router import AsyncRouter
from bandit_router.settings import Settings, load_settings
from bandit_router.settings.arms import ArmSection


def label(
    arms: Annotated[str, typer.Option(help="The arms to ask, separated by commas.")],
    budget: Annotated[float, typer.Option(help="USD that all calls of this run may cost.")],
    queries: Annotated[
        Path | None, typer.Option(help="A file of queries, with a column of right answers unless --judge.")
    ] = None,
    from_log: Annotated[
        bool,
        typer.Option("--from-log", metavar="", help="Pick the queries from the log instead of a file."),
    ] = False,
    out: Annotated[Path, typer.Option(help="Where to write the labels, as JSON Lines.")] = Path(
        "labels.jsonl"
    ),
    reference: Annotated[str, typer.Option(help="The column of right answers.")] = "reference",
    match: Annotated[
        Match, typer.Option(help="An answer is right if it contains a right answer, or is exactly one.")
    ] = Match.CONTAINS,
    judge: Annotated[
        bool, typer.Option("--judge", metavar="", help="Have the arm of [judge] say how good an answer is.")
    ] = False,
    pick: Annotated[
        int | None,
        typer.Option(min=1, help="Ask only so many of the queries, chosen by chance and always the same."),
    ] = None,
    max_output_tokens: Annotated[
        int, typer.Option(min=1, help="Most tokens of an answer, with its reasoning.")
    ] = 4096,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Calls under way at once.")] = 4,
    retry_lost: Annotated[
        bool,
        typer.Option(
            "--retry-lost",
            metavar="",
            help="Ask again what was under way when a run was killed, paid or not.",
        ),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Ask every arm each query once, and label its answers: by right ones, or by what a judge says.

    Started again, it goes on where it was: no answer is paid twice. Answers are kept beside the labels.
    """
    kept_in = out.with_name(f"{out.stem}.answers.jsonl")
    _check_paths(out, kept_in)
    if not budget > 0.0:
        raise InvalidInput("budget", f"is {budget:g}", "give the USD that the calls may cost")
    if from_log == (queries is not None):
        raise InvalidInput("queries", "or --from-log is needed, not both", "name a file, or --from-log")
    settings = load_settings(config)
    opened = [open_arm(section) for section in _choose_arms(settings.arms, arms)]
    label_judge = _open_judge(settings, [arm.name for arm in opened]) if judge else None
    if queries is not None:
        asked = load_label_queries(queries, reference, judged=judge)
        asked = asked if pick is None else pick_queries(asked, pick)
    else:
        asked = _pick_from_log(config, pick, judged=judge)
    plan = AskPlan(
        queries=asked,
        arms=opened,
        usd=budget,
        max_output_tokens=max_output_tokens,
        concurrency=concurrency,
        retry_lost=retry_lost,
    )
    try:
        with ExitStack() as stack:
            router = AsyncRouter(stack.enter_context(open_quiet_router(config)))
            kept = stack.enter_context(open_answers(kept_in))
            asking, judging = Asking(router, plan, kept), None
            if label_judge is not None:
                verdicts = open_verdicts(out.with_name(f"{out.stem}.verdicts.jsonl"), kept.run)
                judging = Judging(asking, label_judge, stack.enter_context(verdicts))
            asyncio.run(_ask(asking, judging, quiet=as_json))
            grade = _compare_by(match) if judging is None else judging.grade
            rows = write_labels(out, asked, kept.answers, grade)
            missing = count_unlabelled(asked, [arm.name for arm in opened], kept.answers, grade)
    except OSError as error:
        raise RouterError(f"{error.filename or kept_in} cannot be written: {error.strerror}") from error
    _print_report(asking.report, out, rows, missing, budget, as_json)


async def _ask(asking: Asking, judging: Judging | None, *, quiet: bool) -> None:
    async with AsyncExitStack() as stack:
        for arm in asking.plan.arms if judging is None else [*asking.plan.arms, judging.arm]:
            stack.push_async_callback(arm.provider.aclose)
        questions = await asking.find_questions()
        if judging is None:
            with progress_bar("asking", len(questions), quiet=quiet) as step:
                await asking.ask(questions, lambda usd: step(1, f"{usd:.4f} USD"))
            return
        unjudged = sum(1 for _ in judging.iterate_tasks(range(len(asking.plan.queries))))
        steps = 2 * len(questions) + unjudged
        with progress_bar("asking and judging", steps, quiet=quiet) as step:
            await judging.ask_and_judge(questions, lambda usd: step(1, f"{usd:.4f} USD"))


def _compare_by(match: Match) -> Grade:
    return lambda query, answer: grade_answer(answer, query.references, match)


def _pick_from_log(config: Path, pick: int | None, *, judged: bool) -> list[LabelQuery]:
    if pick is None:
        raise InvalidInput("pick", "is missing", "say how many queries of the log to label")
    if not judged:
        raise InvalidInput("from_log", "has no right answers", "have answers judged with --judge")
    with open_existing_store(config) as store:
        return pick_logged_queries(store, pick)


def _open_judge(settings: Settings, judged: Collection[str]) -> LabelJudge:
    """The judge of the settings, which is to judge the answers of other arms."""
    section = settings.judge
    if section.arm is None:
        raise InvalidInput("judge", "is no arm yet", "name one as arm under [judge]")
    if section.arm in judged:
        raise InvalidInput("arms", f"has the judge, {section.arm!r}", "leave it out: it judges the others")
    [arm] = _choose_arms(settings.arms, section.arm)
    return LabelJudge(
        arm=open_arm(arm),
        pointwise=read_judge_prompt(JudgeQuestion.POINTWISE, section.prompt, section.rubric),
        reference=read_judge_prompt(JudgeQuestion.REFERENCE, rubric=section.rubric),
        max_output_tokens=section.max_output_tokens,
    )


def _choose_arms(sections: tuple[ArmSection, ...], names: str) -> list[ArmSection]:
    by_name = {section.name: section for section in sections}
    chosen = [name.strip() for name in names.split(",")]
    if unknown := [name for name in chosen if name not in by_name]:
        raise InvalidInput("arms", f"has {unknown[0]!r}, which is no arm", f"use {', '.join(by_name)}")
    if len(set(chosen)) < len(chosen):
        raise InvalidInput("arms", "has one name twice", "give each once")
    return [by_name[name] for name in chosen]


def _check_paths(out: Path, kept_in: Path) -> None:
    if out.suffix != ".jsonl":
        raise InvalidInput("out", f"{out} does not end in .jsonl", "name a file of JSON Lines")
    if not out.parent.is_dir():
        raise InvalidInput("out", f"{out.parent} is not a folder", "create it, or name a file in another")
    if out.exists() and not kept_in.exists():
        raise InvalidInput("out", f"{out} exists, and {kept_in.name} is not beside it", "name another file")


def _print_report(
    report: AskReport, out: Path, rows: int, missing: int, budget: float, as_json: bool
) -> None:
    failures = [
        {"arm": arm, "error": error, "questions": n} for (arm, error), n in report.failures.most_common()
    ]
    if as_json:
        facts = {"out": str(out), "labels": rows, "missing": missing, "lost": report.lost}
        spending = {"spent_usd": report.spent_usd, "budget_spent": report.is_budget_spent}
        now = {"answered_now": report.answered, "judged_now": report.judged, "failures": failures}
        print_json(facts | spending | now | {"judge_stopped": report.judge_stopped})
        return
    for failure in failures:
        print_warning("{arm}: {questions} questions failed: {error}".format(**failure))
    if report.lost:
        print_warning(
            f"{report.lost} questions were under way when a run was killed, and may be paid for: "
            "--retry-lost asks them again"
        )
    if report.judge_stopped is not None:
        print_warning(f"the judge was not asked of all answers: {report.judge_stopped}")
    if report.is_budget_spent:
        print_warning(f"the budget of {budget:g} USD is spent: start again with a larger --budget to go on")
    if missing:
        print_warning(f"{missing} labels are missing: read the others with --allow-missing")
    print_line(f"wrote {rows} labels to {out}; {report.spent_usd:.6f} USD spent in all")
