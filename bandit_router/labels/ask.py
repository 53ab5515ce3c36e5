"""Asks every arm each query once, within a budget, and goes on where a run before was killed.

A call is in the log before it is sent, and its answer on disk before the call ends there. So whatever did not
end is either on disk, and ends now, or was under way: it is lost, for it may have been paid.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bandit_router.errors import OwnBudgetSpent
from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.own_calls import OwnAnswer, OwnRequest
from bandit_router.gateway.own_run import OwnRun, find_paid
from bandit_router.gateway.verdicts import read_retry_after
from bandit_router.labels.answers import AnswerFile, KeptAnswer
from bandit_router.labels.queries import LabelQuery
from bandit_router.providers.base import FailureKind, UpstreamError
from bandit_router.router import AsyncRouter
from bandit_router.store.own_calls import OwnBudget
from bandit_router.types import Purpose

_WAITS_S = (1.0, 4.0, 16.0)
_LONGEST_WAIT_S = 60.0
_MOST_FAILURES = 5
"""Failures in a row after which an arm is not asked any more."""

Question = tuple[LabelQuery, CallableArm]
Tell = Callable[[float], None]
"""Told of each question that is done, with the USD spent so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskPlan:
    """Whom to ask what. ``usd`` is the budget of the whole run, with what was spent before it was killed."""

    queries: Sequence[LabelQuery]
    arms: Sequence[CallableArm]
    usd: float
    max_output_tokens: int
    concurrency: int
    retry_lost: bool


@dataclass(kw_only=True, slots=True)
class AskReport:
    """What came of it: ``lost`` questions were not asked again; ``failures`` are counted by arm and error.

    ``judged`` answers have a new verdict; ``judge_stopped`` says why the judge was not asked of all, if so.
    """

    answered: int = 0
    judged: int = 0
    judge_stopped: str | None = None
    lost: int = 0
    spent_usd: float = 0.0
    is_budget_spent: bool = False
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed_in_a_row: Counter[str] = field(default_factory=Counter)


class Asking:
    """A run under way."""

    def __init__(self, router: AsyncRouter, plan: AskPlan, kept: AnswerFile) -> None:
        self.report = AskReport()
        self.router, self.plan, self.kept = router, plan, kept
        self._run = OwnRun(router)

    async def find_questions(self) -> list[Question]:
        """The questions that are left, after what a killed run began has been ended."""
        run, answers = self.kept.run, self.kept.answers
        results = {answer.call_id: answer.result for answer in answers.values()}
        for call in await self.router.own_calls(run):
            if call.result is None and call.id in results:
                await self.router.end_own_call(call.id, results[call.id])
        await self.router.lose_own_calls(run)
        calls = await self.router.own_calls(run)
        self.report.spent_usd = sum(call.counted_usd for call in calls)
        paid = find_paid(calls)
        open_ones = [
            (query, arm)
            for query in self.plan.queries
            for arm in self.plan.arms
            if (query.item, arm.name) not in answers
        ]
        if self.plan.retry_lost:
            return open_ones
        left = [(query, arm) for query, arm in open_ones if (query.item, arm.name) not in paid]
        self.report.lost = len(open_ones) - len(left)
        return left

    async def ask(self, questions: Sequence[Question], tell: Tell) -> None:
        """Ask them in order, some at a time, until the budget is spent."""
        left = iter(questions)
        await asyncio.gather(*(self._work(left, tell) for _ in range(self.plan.concurrency)))

    async def _work(self, left: Iterator[Question], tell: Tell) -> None:
        for query, arm in left:
            if self.report.is_budget_spent:
                return
            if self.report.failed_in_a_row[arm.name] < _MOST_FAILURES:
                await self._ask_patiently(query, arm)
            tell(self.report.spent_usd)

    async def _ask_patiently(self, query: LabelQuery, arm: CallableArm) -> None:
        """Ask, and ask again what upstream refused for now, which cost nothing."""
        report = self.report
        for wait_s in (*_WAITS_S, None):
            try:
                await self._ask_once(query, arm)
                return
            except OwnBudgetSpent:
                report.is_budget_spent = True
                return
            except UpstreamError as failure:
                if wait_s is None or not _is_refused_for_now(failure):
                    report.failures[arm.name, str(failure)] += 1
                    report.failed_in_a_row[arm.name] += 1
                    return
                await asyncio.sleep(
                    min(read_retry_after(failure, self.router.now()) or wait_s, _LONGEST_WAIT_S)
                )

    async def _ask_once(self, query: LabelQuery, arm: CallableArm) -> None:
        request = OwnRequest(
            purpose=Purpose.LABEL,
            text=query.text,
            max_output_tokens=min(self.plan.max_output_tokens, arm.max_output_tokens),
            budget=OwnBudget(usd=self.plan.usd, run=self.kept.run),
            run=self.kept.run,
            item=query.item,
        )
        answer = await self._run.call(arm, request, partial(self._keep, query.item, arm.name))
        self.report.answered += 1
        self.report.spent_usd += answer.result.cost_usd
        self.report.failed_in_a_row[arm.name] = 0

    def _keep(self, item: str, arm: str, answer: OwnAnswer) -> None:
        self.kept.append(
            KeptAnswer(item=item, arm=arm, call_id=answer.call_id, text=answer.text, result=answer.result)
        )


def _is_refused_for_now(failure: UpstreamError) -> bool:
    if failure.status is None:
        return failure.kind is FailureKind.CONNECT
    return failure.status in (408, 409, 429) or failure.status >= 500
