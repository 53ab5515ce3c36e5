"""Has answers judged, each by itself, with the budget and in the run of the calls that brought them.

Pointwise, for who reads labels wants of each answer how good it is, in [0, 1], as feedback says it of live
ones: who wins against which other arm would change with the arms, and cost twice a call for every pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bandit_router.gateway.arms import CallableArm
from bandit_router.gateway.judge.comparisons import JudgeTask, make_task
from bandit_router.gateway.judge.offline import JudgePlan, judge_answers
from bandit_router.gateway.judge.prompt import JudgePrompt, JudgeQuestion
from bandit_router.gateway.judge.verdict_file import VerdictFile
from bandit_router.gateway.own_run import find_paid
from bandit_router.labels.ask import Asking, Question, Tell
from bandit_router.labels.queries import LabelQuery
from bandit_router.types import Purpose

_PIECE = 25
"""Queries that are asked before their answers are judged: a budget that ends leaves labels, not answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelJudge:
    """The arm that judges, and what it is asked of an answer: ``reference`` where there are right ones."""

    arm: CallableArm
    pointwise: JudgePrompt
    reference: JudgePrompt
    max_output_tokens: int

    def make_task(self, query: LabelQuery, answer: str, row: int = 0, arm: str = "") -> JudgeTask:
        """What the judge is asked of an answer; its key depends on the texts alone."""
        if query.references:
            known = "\n".join(query.references)
            prompt = self.reference.write(query=query.text, answer=answer, reference=known)
        else:
            prompt = self.pointwise.write(query=query.text, answer=answer)
        return make_task(self.arm.name, row, (arm,), prompt)


class Judging:
    """Has the answers of a run judged, as they come. What came of it is in the report of the run."""

    def __init__(self, asking: Asking, judge: LabelJudge, verdicts: VerdictFile) -> None:
        self.arm = judge.arm
        self._asking, self._judge, self._verdicts = asking, judge, verdicts

    def grade(self, query: LabelQuery, answer: str) -> float | None:
        """The score of an answer in [0, 1]; None where there is no verdict."""
        verdict = self._verdicts.verdicts.get(self._judge.make_task(query, answer).key)
        return verdict if isinstance(verdict, float) else None

    async def ask_and_judge(self, questions: Sequence[Question], tell: Tell) -> None:
        """Ask, and judge, some queries at a time, until the budget is spent or the judge fails."""
        asking, plan = self._asking, self._asking.plan
        paid = set() if plan.retry_lost else find_paid(await asking.router.own_calls(asking.kept.run))
        for start in range(0, len(plan.queries), _PIECE):
            rows = range(start, min(start + _PIECE, len(plan.queries)))
            items = {plan.queries[row].item for row in rows}
            await asking.ask([each for each in questions if each[0].item in items], tell)
            tasks = list(self.iterate_tasks(rows))
            left = [task for task in tasks if (task.key, self.arm.name) not in paid]
            asking.report.lost += len(tasks) - len(left)
            await self._judge_tasks(left, tell)
            if asking.report.judge_stopped is not None or asking.report.is_budget_spent:
                return

    def iterate_tasks(self, rows: range) -> Iterator[JudgeTask]:
        """What is to be judged of the answers so far to the queries of these rows."""
        for row in rows:
            query = self._asking.plan.queries[row]
            for arm in self._asking.plan.arms:
                answer = self._asking.kept.answers.get((query.item, arm.name))
                if answer is not None:
                    task = self._judge.make_task(query, answer.text, row, arm.name)
                    if task.key not in self._verdicts.verdicts:
                        yield task

    async def _judge_tasks(self, tasks: Sequence[JudgeTask], tell: Tell) -> None:
        plan, report = self._asking.plan, self._asking.report
        judging = JudgePlan(
            arm=self.arm,
            question=JudgeQuestion.POINTWISE,
            tasks=tasks,
            usd=plan.usd,
            max_output_tokens=self._judge.max_output_tokens,
            concurrency=plan.concurrency,
            purpose=Purpose.LABEL,
        )
        done = await judge_answers(self._asking.router, judging, self._verdicts, tell)
        report.judged += done.asked
        report.judge_stopped = done.stopped
        report.spent_usd = done.spent_usd
