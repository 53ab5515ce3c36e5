"""Users: logged as a keyed hash, and forgotten with all that was learned of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from bandit_router.errors import IdempotencyConflict, InvalidInput, UnknownDecision
from bandit_router.router import AsyncRouter, Router
from bandit_router.security.users import hash_user
from tests.router.conftest import OpenRouter
from tests.services import serving, write_settings

ALICE, BOB = "alice@example.org", "bob@example.org"


def teach(router: Router, rounds: int = 24) -> dict[str, list[str]]:
    """Decisions of both users and of nobody, with rewards and costs; the ids by user."""
    made: dict[str, list[str]] = {ALICE: [], BOB: [], "": []}
    for i in range(rounds):
        user = (ALICE, BOB, "")[i % 3]
        decision = router.route(f"query {i}", user=user or None, conversation=f"{user}-{i % 2}")
        router.feedback(decision.id, quality=float(decision.arm == "large"), cost_usd=0.001 * (i + 1))
        made[user].append(decision.id)
    router.learn()
    return made


def test_a_user_is_logged_as_a_hash_that_differs_from_router_to_router(open_router: OpenRouter) -> None:
    one, other = open_router(), open_router(router={"name": "other"})
    users = [router.route("a", user=ALICE).user for router in (one, one, other)]
    assert users[0] == users[1] != users[2]
    assert [len(str(user)) for user in users] == [64] * 3
    assert one.route("a").user is None


def test_a_hash_is_the_same_to_every_worker(open_on_either: OpenRouter) -> None:
    assert open_on_either().route("a", user=ALICE).user == open_on_either().route("b", user=ALICE).user


def test_a_user_is_logged_in_clear_if_that_is_asked_for(open_router: OpenRouter) -> None:
    router = open_router(router={"log_users": True})
    decision = router.route("a", user=ALICE)
    assert decision.user == ALICE
    assert router.explain(decision.id).facts()["user"] == ALICE
    assert router.forget_user(ALICE) == 1


def test_a_key_with_another_user_is_a_conflict(router: Router) -> None:
    first = router.route("a", user=ALICE, idempotency_key="k")
    assert router.route("a", user=ALICE, idempotency_key="k").id == first.id
    with pytest.raises(IdempotencyConflict):
        router.route("a", user=BOB, idempotency_key="k")


@pytest.mark.parametrize("user", ["", "x" * 257, "a\0", 7])
def test_what_cannot_be_a_user_is_refused(router: Router, user: Any) -> None:
    with pytest.raises(InvalidInput, match="user"):
        router.route("a", user=user)
    with pytest.raises(InvalidInput, match="user"):
        router.forget_user(user)


def test_a_retry_is_of_the_same_user(open_router: OpenRouter) -> None:
    router = open_router(cascade={"enabled": True, "expensive": "large", "threshold": 0.9})
    firsts = [router.route(f"q {i}", user=ALICE) for i in range(20)]
    retries = [router.escalate(first, confidence=0.1).decision for first in firsts]
    of_retries = {retry.user for retry in retries if retry is not None}
    assert of_retries == {firsts[0].user}
    made = len(firsts) + sum(retry is not None for retry in retries)
    assert router.forget_user(ALICE) == made
    assert router.verify().problems == []


@pytest.mark.parametrize("goal", [{"usd_per_request": 0.01}, {"mean_quality": 0.5}, None])
def test_everything_of_a_forgotten_user_is_gone_but_the_money(
    open_on_either: OpenRouter, goal: dict[str, float] | None
) -> None:
    sections: dict[str, Any] = {} if goal is None else {"budget": goal}
    router, worker = open_on_either(**sections), open_on_either(**sections)
    made = teach(router)
    before = None if goal is None else router.budget()
    assert router.forget_user(ALICE) == len(made[ALICE])
    with pytest.raises(UnknownDecision):
        worker.feedback(made[ALICE][0], quality=1.0)
    assert worker.explain(made[BOB][0]).metrics
    report = router.verify()
    assert report.problems == []
    assert report.counted["rewards"] == len(made[BOB]) + len(made[""])
    counts = router.counts()
    assert router.rebuild() == sum(counts.values())
    assert router.counts() == counts
    worker.refresh()
    assert worker.counts() == counts
    if before is not None:
        after = worker.budget()
        assert (after.requests, after.spent_usd) == (before.requests, before.spent_usd)
        assert teach(worker)
        assert worker.forget_user(BOB) == 2 * len(made[BOB])
        assert worker.verify().problems == []


def test_a_user_is_forgotten_by_its_hash_and_once(router: Router) -> None:
    decision = router.route("a", user=ALICE)
    assert decision.user is not None
    assert router.forget_user(decision.user) == 1
    assert router.forget_user(ALICE) == 0


def test_a_conversation_of_a_forgotten_user_begins_anew(router: Router) -> None:
    first = router.route("a", user=ALICE, conversation="c")
    router.forget_user(ALICE)
    again = router.route("a", user=ALICE, conversation="c")
    assert again.reason == "policy"
    assert again.id != first.id
    assert router.verify().problems == []


def test_no_byte_of_a_forgotten_user_is_in_the_file(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    with Router.open(config) as router:
        decision = router.route("a", user=ALICE, conversation="conversation of alice")
        secret = router._store.user_secret()
        marks = [decision.id, hash_user(secret, ALICE), "conversation of alice"]
        held = [mark for mark in marks if mark.encode() in read_files(tmp_path)]
        assert held == marks
        router.forget_user(ALICE)
        assert [mark for mark in marks if mark.encode() in read_files(tmp_path)] == []


def read_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.db*")))


def test_an_async_router_has_users_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncRouter.open(write_settings(tmp_path)) as router:
            decision = await router.route("a", user=ALICE)
            assert decision.user is not None
            assert await router.forget_user(ALICE) == 1

    asyncio.run(scenario())


def test_a_request_over_http_may_name_a_user(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    with serving(config) as service:
        routed = httpx.post(f"{service.url}/v1/route", json={"query": "a", "user": ALICE}).json()
        logged = httpx.get(f"{service.url}/v1/decisions/{routed['decision_id']}").json()
    with Router.open(config) as router:
        assert logged["user"] == hash_user(router._store.user_secret(), ALICE)
        assert router.forget_user(ALICE) == 1
