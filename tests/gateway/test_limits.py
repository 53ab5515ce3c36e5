"""The limits of a worker: beyond them a client hears at once, or after a bounded wait, when to come back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from bandit_router.gateway.limits import ConcurrencyLimits, RequestSlots, TooBusy
from bandit_router.providers.scripted import Scene
from bandit_router.types import CallOutcome
from tests.gateway.conftest import gateway_to, read_calls

SLOW = Scene(pieces=("x",) * 1000, gap_s=0.02)
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}


def test_slots_are_given_back_however_a_request_ends() -> None:
    slots = RequestSlots(1)
    with pytest.raises(ZeroDivisionError), slots.hold():
        raise ZeroDivisionError
    with slots.hold(), pytest.raises(TooBusy, match=r"gateway.max_concurrency = 1"), slots.hold():
        pass
    with slots.hold():
        pass


def test_a_call_waits_for_its_arm_so_long_and_no_longer() -> None:
    async def wait() -> None:
        limits = ConcurrencyLimits({"a": 1, "b": None}, 0.0)
        await limits.acquire("a")
        await limits.acquire("b")
        await limits.acquire("b")
        with pytest.raises(TooBusy, match="arm 'a' has max_concurrency calls"):
            await limits.acquire("a")
        limits.release("a")
        await limits.acquire("a")
        assert limits.find_full() == {"a": "has max_concurrency calls"}

    asyncio.run(wait())


def test_a_call_that_waits_goes_on_when_its_arm_has_room() -> None:
    async def wait() -> None:
        limits = ConcurrencyLimits({"a": 1}, 60.0)
        await limits.acquire("a")
        waiting = asyncio.ensure_future(limits.acquire("a"))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        limits.release("a")
        await waiting
        assert limits.find_full() == {"a": "has max_concurrency calls"}

    asyncio.run(wait())


def test_a_request_beyond_the_total_gets_503_and_is_not_logged(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": SLOW, "dear": SLOW}, gateway={"max_concurrency": 1}) as gateway:
        url = f"{gateway.openai_url}/chat/completions"
        with httpx.stream("POST", url, json={**BODY, "stream": True}) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            refused = httpx.post(url, json=BODY)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "gateway.max_concurrency" in refused.json()["error"]["message"]
        ((_, end),) = gateway.read_calls(1)
        assert end.outcome is CallOutcome.LEFT
        with httpx.stream("POST", url, json={**BODY, "stream": True}) as answer:
            assert answer.status_code == 200


def test_a_request_whose_arms_stay_full_gets_503_and_costs_nothing(tmp_path: Path) -> None:
    scripts, arm = {"cheap": SLOW}, {"max_concurrency": 1}
    with gateway_to(tmp_path, scripts, arm, gateway={"max_wait_s": 0.1}) as gateway:
        url = f"{gateway.openai_url}/chat/completions"
        with httpx.stream("POST", url, json={**BODY, "stream": True}) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            refused = httpx.post(url, json=BODY)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        ends = [end for _, end in read_calls(gateway.service.database, 2)]
        (waited,) = [end for end in ends if end.outcome is CallOutcome.FAILED]
        assert waited.cost_usd == 0.0
        assert "has max_concurrency calls" in str(waited.error)
        assert len(gateway.upstreams["cheap"].app.calls) == 1
