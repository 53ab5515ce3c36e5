"""`label`: ask every arm the same queries, and write how good each answer is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.connect import open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line, print_warning, progress_bar
from bandit_router.errors import InvalidInput, RouterError
from bandit_router.gateway.arms import open_arm
from bandit_router.labels.answers import AnswerFile, open_answers
from bandit_router.labels.ask import Asking, AskPlan, AskReport
from bandit_router.labels.match import Match, grade_answer
from bandit_router.labels.queries import load_label_queries, pick_queries
from bandit_router.labels.table import write_labels
from bandit_router.router import AsyncRouter, Router
from bandit_router.settings import load_settings
from bandit_router.settings.arms import ArmSection


def label(
    queries: Annotated[Path, typer.Option(help="A file of queries with a column of right answers.")],
    arms: Annotated[str, typer.Option(help="The arms to ask, separated by commas.")],
    budget: Annotated[float, typer.Option(help="USD that all calls of this run may cost.")],
    out: Annotated[Path, typer.Option(help="Where to write the labels, as JSON Lines.")] = Path(
        "labels.jsonl"
    ),
    reference: Annotated[str, typer.Option(help="The column of right answers.")] = "reference",
    match: Annotated[
        Match, typer.Option(help="An answer is right if it contains a right answer, or is exactly one.")
    ] = Match.CONTAINS,
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
    """Ask every arm each query once, and label its answers by comparing them with right ones.

    Started again, it goes on where it was: no answer is paid twice. Answers are kept beside the labels.
    """
    kept_in = out.with_name(f"{out.stem}.answers.jsonl")
    _check_paths(out, kept_in)
    if not budget > 0.0:
        raise InvalidInput("budget", f"is {budget:g}", "give the USD that the calls may cost")
    asked = load_label_queries(queries, reference)
    if pick is not None:
        asked = pick_queries(asked, pick)
    opened = [open_arm(section) for section in _choose_arms(load_settings(config).arms, arms)]
    plan = AskPlan(
        queries=asked,
        arms=opened,
        usd=budget,
        max_output_tokens=max_output_tokens,
        concurrency=concurrency,
        retry_lost=retry_lost,
    )
    try:
        with open_quiet_router(config) as router, open_answers(kept_in) as kept:
            report = asyncio.run(_ask(router, plan, kept, quiet=as_json))
            rows = write_labels(
                out, asked, kept.answers, lambda query, text: grade_answer(text, query.references, match)
            )
            missing = sum((query.item, arm.name) not in kept.answers for query in asked for arm in opened)
    except OSError as error:
        raise RouterError(f"{error.filename or kept_in} cannot be written: {error.strerror}") from error
    _print_report(report, out, rows, missing, budget, as_json)


async def _ask(router: Router, plan: AskPlan, kept: AnswerFile, *, quiet: bool) -> AskReport:
    async with AsyncExitStack() as stack:
        for arm in plan.arms:
            stack.push_async_callback(arm.provider.aclose)
        asking = Asking(AsyncRouter(router), plan, kept)
        questions = await asking.find_questions()
        with progress_bar("asking", len(questions), quiet=quiet) as step:
            await asking.ask(questions, lambda usd: step(1, f"{usd:.4f} USD"))
    return asking.report


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
        print_json(facts | spending | {"answered_now": report.answered, "failures": failures})
        return
    for failure in failures:
        print_warning("{arm}: {questions} questions failed: {error}".format(**failure))
    if report.lost:
        print_warning(
            f"{report.lost} questions were under way when a run was killed, and may be paid for: "
            "--retry-lost asks them again"
        )
    if report.is_budget_spent:
        print_warning(f"the budget of {budget:g} USD is spent: start again with a larger --budget to go on")
    if missing:
        print_warning(f"{missing} answers are missing: read these labels with --allow-missing")
    print_line(f"wrote {rows} labels to {out}; {report.spent_usd:.6f} USD spent in all")
