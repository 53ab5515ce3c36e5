"""The face for asyncio: it decides and learns as the other, and the event loop never waits for SQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from bandit_router import AsyncRouter, Router
from bandit_router.errors import InvalidInput, NoEligibleArm, UnknownDecision
from bandit_router.types import Arm
from tests.databases import MakeUrl
from tests.router.conftest import settings_of

CASCADE = {"enabled": True, "expensive": "large"}


@contextmanager
def statements_of_this_thread(router: Router) -> Iterator[list[str]]:
    """The SQL that is executed on the thread of the event loop in the block."""
    here, statements = threading.get_ident(), list[str]()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if threading.get_ident() == here:
            statements.append(statement)

    event.listen(router._store._engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(router._store._engine, "before_cursor_execute", note)


def run(url: str, talk: Callable[[AsyncRouter], Coroutine[Any, Any, None]]) -> list[str]:
    """What ``talk`` executes on the event loop's thread."""

    async def main() -> list[str]:
        async with AsyncRouter.open(settings_of(url, cascade=CASCADE)) as router:
            with statements_of_this_thread(router._router) as statements:
                await talk(router)
            return list(statements)

    return asyncio.run(main())


def test_it_routes_hears_and_learns(make_sqlite_url: MakeUrl) -> None:
    async def talk(router: AsyncRouter) -> None:
        decisions = await asyncio.gather(*(router.route(f"query {i}") for i in range(50)))
        await asyncio.gather(*(router.feedback(one.id, quality=1.0) for one in decisions))
        assert await router.learn() == 50
        assert sum(router.counts().values()) == 50
        assert (await router.explain(decisions[0].id)).metrics == {"quality": 1.0}
        assert (await router.verify()).problems == []
        with pytest.raises(UnknownDecision):
            await router.feedback("nobody", quality=1.0)
        with pytest.raises(InvalidInput):
            await router.route("a", arms=["nobody"])

    assert run(make_sqlite_url(), talk) == []


def test_a_conversation_and_an_escalation_keep_sql_off_the_loop(make_sqlite_url: MakeUrl) -> None:
    async def talk(router: AsyncRouter) -> None:
        first = await router.route("a", conversation="c")
        again = await router.route("b", conversation="c")
        assert again.arm == first.arm
        await router.feedback(conversation="c", quality=0.5)
        assert (await router.metrics(first.id)) == {"quality": 0.5}
        await router.escalate(first, confidence=0.1)

    assert run(make_sqlite_url(), talk) == []


def test_a_keyed_retry_without_an_eligible_arm_is_answered_and_is_not_in_flight(
    make_sqlite_url: MakeUrl,
) -> None:
    async def talk(router: AsyncRouter) -> None:
        first = await router.route("a", idempotency_key="k")
        for arm in router.arms:
            await router.enable_arm(arm.name, False)
        assert (await router.route("a", idempotency_key="k")).id == first.id
        with pytest.raises(NoEligibleArm):
            await router.route("a", idempotency_key="other")

    assert run(make_sqlite_url(), talk) == []


def test_an_arm_that_another_worker_added_is_found(make_sqlite_url: MakeUrl) -> None:
    url = make_sqlite_url()
    arm = Arm(name="new", provider="p", model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)

    async def talk(router: AsyncRouter) -> None:
        with Router.open(settings_of(url, cascade=CASCADE)) as other:
            await asyncio.to_thread(other.put_arm, arm)
            decision = await asyncio.to_thread(other.route, "a", override="new")
        escalation = await router.escalate(decision.id, confidence=0.5)
        assert escalation.parent == decision.id
        assert (await router.arm("new")).model == "m"

    assert run(url, talk) == []


def test_the_other_face_is_seen_to_execute_sql(make_sqlite_url: MakeUrl) -> None:
    """The negative control."""

    async def talk(router: AsyncRouter) -> None:
        router._router.route("a", conversation="c")

    assert run(make_sqlite_url(), talk) != []
