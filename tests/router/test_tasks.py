"""The task of a route call: named by the caller, or by the system prompt where the settings say so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event

from bandit_router.errors import IdempotencyConflict, InvalidInput
from bandit_router.router import AsyncRouter, Router
from bandit_router.types import NO_TASK, OTHER_TASKS, TASKS_APART
from tests.databases import MakeUrl
from tests.router.conftest import OpenRouter, settings_of

BY_PROMPT = {"embedding": "none", "task": "system-prompt"}
CHAT = [
    {"role": "system", "content": "You answer questions of customers about the orders that they placed."},
    {"role": "user", "content": "Hello"},
]


class Statements:
    """Counts the statements that a router sends to its database about tasks."""

    def __init__(self, router: Router) -> None:
        self.count = 0
        event.listen(router._store._engine, "after_cursor_execute", self._after)

    def _after(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.count += " tasks" in statement


def test_a_name_has_one_number_whoever_names_it(open_on_either: OpenRouter) -> None:
    one, other = open_on_either(), open_on_either()
    assert one.route("q", task="invoices").task == 0
    assert other.route("q", task=" invoices\n").task == 0
    assert other.route("q", task="support").task == 1
    assert one.route("q", task="support").task == 1
    assert one.route("q").task == NO_TASK
    assert [task.name for task in one.tasks()] == ["invoices", "support"]
    assert one.verify().problems == []


def test_the_log_has_the_number_and_explain_the_name(open_router: OpenRouter) -> None:
    router = open_router()
    decision = router.route("q", task="invoices")
    assert router.decision(decision.id).task == decision.task == 0
    assert router.explain(decision.id).facts()["task"] == "invoices"
    assert router.explain(router.route("q").id).facts()["task"] is None
    router.feedback(decision.id, quality=1.0)
    assert router._store.observation(decision.id).task == 0


def test_a_name_that_is_known_costs_no_query_and_neither_does_one_past_the_bound(
    open_router: OpenRouter,
) -> None:
    router = open_router(features=BY_PROMPT)
    for i in range(TASKS_APART):
        router.route("q", task=f"task {i}")
    statements = Statements(router)
    assert router.route("q", task="task 7").task == 7
    others = [router.route("q", task=f"ever new {i}") for i in range(20)]
    prompts = [open_prompt(router, f"A prompt of its own, {chr(97 + i)}") for i in range(5)]
    assert {decision.task for decision in others + prompts} == {OTHER_TASKS}
    assert statements.count == 0
    assert router.explain(others[0].id).facts()["task"] == "other tasks"
    assert len(router.tasks()) == TASKS_APART
    late = open_router()
    assert late.route("q", task="ever new").task == OTHER_TASKS


def open_prompt(router: Router, system: str) -> Any:
    return router.route([{"role": "system", "content": system}, CHAT[1]])


def test_a_caller_who_asks_for_it_has_prompts_name_tasks(open_router: OpenRouter) -> None:
    router = open_router(features=BY_PROMPT)
    assert router.route(CHAT).task == 0
    assert router.route(CHAT, task="named").task == 1
    statements = Statements(router)
    assert router.route({"system": CHAT[0]["content"], "messages": CHAT[1:]}).task == 0
    assert statements.count == 0
    assert router.route("Hello").task == NO_TASK
    assert router.route(CHAT[1:]).task == NO_TASK
    assert router.route([{"role": "system", "content": "2026-01-05"}, CHAT[1]]).task == NO_TASK


def test_by_default_a_route_call_goes_by_what_its_caller_names(open_router: OpenRouter) -> None:
    assert open_router().route(CHAT).task == NO_TASK


def test_a_conversation_keeps_its_arm_and_each_request_has_its_task(open_router: OpenRouter) -> None:
    router = open_router()
    first = router.route("q", conversation="c", task="a")
    second = router.route("q", conversation="c", task="b")
    third = router.route("q", conversation="c")
    assert (first.task, second.task, third.task) == (0, 1, NO_TASK)
    assert first.arm == second.arm == third.arm


def test_a_retry_has_the_task_of_the_first_answer(open_router: OpenRouter) -> None:
    policy = {"name": "cascade", "cheap": "small", "expensive": "large", "epsilon": 0.0}
    router = open_router(policy=policy, cascade={"enabled": True, "threshold": 1.0})
    decision = router.route("q", task="a")
    retry = router.escalate(decision, confidence=0.01).decision
    assert retry is not None
    assert retry.task == decision.task == 0


def test_a_worker_follows_a_new_name(open_on_either: OpenRouter) -> None:
    router, other = open_on_either(), open_on_either()
    for i in range(TASKS_APART):
        router.route("q", task=f"task {i}")
    other.route("q", task="task 0")
    router.rename_task("task 3", " invoices ")
    assert router.route("q", task="invoices").task == 3
    assert other.route("q", task="invoices").task == OTHER_TASKS  # it has not heard yet
    other.refresh()
    assert other.route("q", task="invoices").task == 3


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("x" * 201, "201"),
        ("a\0b", "NUL"),
        ("a\nb", "control"),
        (5, "not text"),
    ],
)
def test_what_cannot_be_a_name_is_refused(open_router: OpenRouter, task: Any, problem: str) -> None:
    router = open_router()
    with pytest.raises(InvalidInput, match=f"task: .*{problem}"):
        router.route("q", task=task)
    assert router.tasks() == []


def test_the_same_key_with_another_task_is_a_conflict(open_router: OpenRouter) -> None:
    router = open_router()
    first = router.route("q", task="a", idempotency_key="k")
    assert router.route("q", task="a", idempotency_key="k").id == first.id
    with pytest.raises(IdempotencyConflict):
        router.route("q", task="b", idempotency_key="k")


def test_the_router_for_asyncio_numbers_tasks_off_its_loop(make_sqlite_url: MakeUrl) -> None:
    async def route() -> list[int]:
        settings = settings_of(make_sqlite_url(migrated=True))
        async with AsyncRouter.open(settings) as router:
            at_once = await asyncio.gather(*(router.route("q", task=name) for name in "abab"))
            return [decision.task for decision in at_once]

    numbers = asyncio.run(route())
    assert numbers[:2] == numbers[2:]
    assert sorted(numbers[:2]) == [0, 1]
