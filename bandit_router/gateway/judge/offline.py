"""Has stored answers judged, within a budget, and goes on where a run before was ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bandit_router.errors import OwnBudgetSpent
from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.judge.comparisons import JudgeTask, read_verdict
from bandit_router.gateway.judge.prompt import JudgeQuestion
from bandit_router.gateway.judge.verdict_file import VerdictFile
from bandit_router.gateway.own_calls import OwnAnswer, OwnRequest
from bandit_router.gateway.own_run import OwnRun
from bandit_router.providers.base import UpstreamError
from bandit_router.router import AsyncRouter
from bandit_router.store.own_calls import OwnBudget
from bandit_router.types import Purpose

_MOST_FAILURES = 5
"""Failures in a row after which the judge is not asked any more."""

Tell = Callable[[float], None]
"""Told of each prompt that is done, with the USD spent so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgePlan:
    """Who judges what, and how. ``usd`` is the budget of the run, with what was spent before it was ended.

    ``purpose`` is what the verdicts are for: all calls of a run have the same.
    """

    arm: CallableArm
    question: JudgeQuestion
    tasks: Sequence[JudgeTask]
    usd: float
    max_output_tokens: int
    concurrency: int
    purpose: Purpose = Purpose.JUDGE


@dataclass(kw_only=True, slots=True)
class JudgeReport:
    """What came of it. ``stopped`` says why the judge was not asked all that is left; None if it was."""

    asked: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    spent_usd: float = 0.0
    stopped: str | None = None


async def judge_answers(
    router: AsyncRouter, plan: JudgePlan, verdicts: VerdictFile, tell: Tell
) -> JudgeReport:
    """Ask the judge every task that has no verdict in the file yet.

    Calls of a run that was killed are lost: they may have been paid, and count in the budget.
    """
    await router.lose_own_calls(verdicts.run)
    report = JudgeReport(spent_usd=sum(call.counted_usd for call in await router.own_calls(verdicts.run)))
    unasked = {task.key: task for task in plan.tasks if task.key not in verdicts.verdicts}
    left = iter(unasked.values())
    run = OwnRun(router)
    workers = [_work(run, plan, verdicts, report, left, tell) for _ in range(plan.concurrency)]
    await asyncio.gather(*workers)
    return report


async def _work(
    run: OwnRun,
    plan: JudgePlan,
    verdicts: VerdictFile,
    report: JudgeReport,
    left: Iterator[JudgeTask],
    tell: Tell,
) -> None:
    for task in left:
        if report.stopped is not None:
            return
        await _judge(run, plan, verdicts, report, task)
        tell(report.spent_usd)


async def _judge(
    run: OwnRun, plan: JudgePlan, verdicts: VerdictFile, report: JudgeReport, task: JudgeTask
) -> None:
    def keep(said: OwnAnswer) -> None:
        verdicts.append(task, read_verdict(plan.question, said.text), said.result.cost_usd)

    request = OwnRequest(
        purpose=plan.purpose,
        text=task.prompt,
        max_output_tokens=plan.max_output_tokens,
        budget=OwnBudget(usd=plan.usd, run=verdicts.run),
        run=verdicts.run,
        item=task.key,
    )
    try:
        said = await run.call(plan.arm, request, keep)
    except OwnBudgetSpent as error:
        report.stopped = str(error)
    except UpstreamError as error:
        report.failed += 1
        report.failed_in_a_row += 1
        if report.failed_in_a_row >= _MOST_FAILURES:
            report.stopped = f"{_MOST_FAILURES} calls in a row failed, the last with: {error}"
    else:
        report.asked += 1
        report.failed_in_a_row = 0
        report.spent_usd += said.result.cost_usd
