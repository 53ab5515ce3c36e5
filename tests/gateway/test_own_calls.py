"""A call of the router's own is in the log when upstream gets it, and ends there with what it cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bandit_router.errors import OwnBudgetSpent
from bandit_router.gateway.arms import ArmPool
from bandit_router.gateway.own_calls import OwnAnswer, OwnRequest, make_own_call
from bandit_router.providers.base import UpstreamError
from bandit_router.providers.scripted import Scene, Script, ScriptedRequest
from bandit_router.router import AsyncRouter
from bandit_router.settings import load_settings
from bandit_router.store.own_calls import OwnBudget, OwnCall
from bandit_router.store.store import Store
from bandit_router.types import CallOutcome, Purpose, Usage
from tests.gateway.conftest import arms_to
from tests.providers.upstream import Upstream

ANSWER = Scene(pieces=("42",), usage=Usage(input_tokens=100, output_tokens=50))
PRICE_USD = (100 * 1.0 + 50 * 2.0) / 1e6


def request(budget: OwnBudget | None = None) -> OwnRequest:
    return OwnRequest(purpose=Purpose.LABEL, text="6 · 7?", max_output_tokens=1_000, budget=budget, run="run")


def read_calls(settings: Path) -> list[OwnCall]:
    store = Store.open(f"sqlite:///{settings.with_name('router.db')}", "default")
    try:
        return store.own_calls("run")
    finally:
        store.close()


@contextmanager
def arm_to(folder: Path, script: Script | Scene) -> Iterator[tuple[Path, Upstream]]:
    with arms_to(folder, {"a": script}) as (settings, upstreams):
        yield settings, upstreams["a"]


def call(settings: Path, asked: OwnRequest, *keep: Callable[[OwnAnswer], None]) -> OwnAnswer:
    async def make() -> OwnAnswer:
        pool = ArmPool(load_settings(settings).arms)
        async with AsyncRouter.open(settings) as router:
            await pool.open()
            try:
                return await make_own_call(router, pool.arms["a"], asked, *keep)
            finally:
                await pool.close()

    return asyncio.run(make())


def test_a_call_is_logged_before_it_is_sent_and_kept_before_it_ends(tmp_path: Path) -> None:
    seen: list[OwnCall] = []
    kept: list[OwnAnswer] = []

    def answer(_: ScriptedRequest) -> Scene:
        seen.extend(read_calls(tmp_path / "router.toml"))
        return ANSWER

    def keep(answer: OwnAnswer) -> None:
        kept.append(answer)
        seen.extend(read_calls(tmp_path / "router.toml"))

    with arm_to(tmp_path, answer) as (settings, _):
        made = call(settings, request(), keep)
        [logged] = read_calls(settings)
    assert [each.result for each in seen] == [None, None]
    assert kept == [made]
    assert (made.text, made.call_id, made.result) == ("42", logged.id, logged.result)
    assert logged.result is not None
    assert logged.result.cost_usd == pytest.approx(PRICE_USD)
    assert (logged.result.outcome, logged.result.usage) == (CallOutcome.ANSWERED, ANSWER.usage)


@pytest.mark.parametrize(
    ("scene", "costs"),
    [(Scene(status=503), False), (Scene(raw=b"{}"), True)],
    ids=["refused", "garbled"],
)
def test_a_call_that_failed_costs_nothing_or_what_it_may_have(
    scene: Scene, costs: bool, tmp_path: Path
) -> None:
    with arm_to(tmp_path, scene) as (settings, _):
        with pytest.raises(UpstreamError):
            call(settings, request())
        [failed] = read_calls(settings)
    assert failed.result is not None
    assert failed.result.outcome is CallOutcome.FAILED
    assert (failed.result.cost_usd > 0.0) == costs
    assert not failed.result.cost_reported


def test_a_budget_that_is_spent_sends_nothing(tmp_path: Path) -> None:
    with arm_to(tmp_path, ANSWER) as (settings, upstream):
        call(settings, request(OwnBudget(usd=PRICE_USD)))
        with pytest.raises(OwnBudgetSpent):
            call(settings, request(OwnBudget(usd=PRICE_USD)))
        assert len(upstream.app.calls) == len(read_calls(settings)) == 1
