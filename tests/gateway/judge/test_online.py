"""The judge of the gateway: off the hot path, blind, within its budget, and never of its own answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bandit_router.errors import ConfigError
from bandit_router.gateway.dialects import DIALECTS
from bandit_router.gateway.exchange import Exchange, make_exchange
from bandit_router.gateway.gateway import Gateway, open_gateway
from bandit_router.gateway.judge.online import JudgeOutcome, OnlineJudge
from bandit_router.providers.scripted import Scene, Script, ScriptedRequest
from bandit_router.router import AsyncRouter
from bandit_router.store.store import Store
from bandit_router.types import Purpose, Reason, Usage
from tests.gateway.conftest import ALL_DIALECTS, arms_to
from tests.in_process import serving_in_process
from tests.providers.upstream import wait_until

ANSWER = Scene(pieces=("The answer", " is 42."), usage=Usage(input_tokens=10, output_tokens=5))
VERDICT_USAGE = Usage(input_tokens=300, output_tokens=50)
JUDGE_PRICE_USD = (300 * 100.0 + 50 * 200.0) / 1e6
"""Of one verdict: the judge is the third arm, and the dearest."""


class Service:
    """A gateway in this process whose arms play scripts, and a client."""

    def __init__(self, client: httpx.Client, gateway: Gateway, folder: Path) -> None:
        self.client, self.gateway, self.folder = client, gateway, folder
        self.prompts: list[str] = []
        self.says = "Fine.\nSCORE: 8"
        self.may_answer = threading.Event()

    @property
    def judge(self) -> OnlineJudge:
        assert self.gateway.judge is not None
        return self.gateway.judge

    def ask(self, dialect: str, text: str, model: str = "auto", **fields: Any) -> httpx.Response:
        prompt = (
            {"input": text} if dialect == "responses" else {"messages": [{"role": "user", "content": text}]}
        )
        most = {"max_tokens": 100} if dialect == "messages" else {}
        body = {"model": model, **prompt, **most, **fields}
        answer = self.client.post(DIALECTS[dialect].path, json=body)
        assert answer.status_code == 200, answer.text
        return answer

    def read_metrics(self, answer: httpx.Response) -> dict[str, float]:
        store = Store.open(f"sqlite:///{self.folder}/router.db", "default", create=False)
        try:
            return store.observation(answer.headers["x-bandit-decision"]).metrics
        finally:
            store.close()

    def wait_for_outcome(self, outcome: JudgeOutcome, asked: Counter[JudgeOutcome]) -> None:
        """Wait until one more answer than ``asked`` had this outcome, and no other had any."""
        wait_until(lambda: self.judge.outcomes != asked)
        assert self.judge.outcomes - asked == Counter({outcome: 1})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("judge")
    made: list[Service] = []

    def judge(request: ScriptedRequest) -> Scene:
        service = made[0]
        fields = request.fields()
        service.prompts.append(fields["messages"][0]["content"])
        assert service.may_answer.wait(30.0)
        return Scene(pieces=(service.says,), usage=VERDICT_USAGE)

    scripts: dict[str, Script | Scene] = {"cheap": ANSWER, "claude-other": ANSWER, "judge": judge}
    section = {"arm": "judge", "share": 1.0, "usd_per_day": 1000.0, "concurrency": 1, "queue_size": 2}
    with (
        arms_to(folder, scripts, judge=section) as (settings, _),
        serving_in_process(settings) as (url, gateway),
        httpx.Client(base_url=url, timeout=30.0) as client,
    ):
        made.append(Service(client, gateway, folder))
        yield made[0]
        made[0].may_answer.set()


@pytest.fixture(autouse=True)
def _judge_answers(service: Service) -> None:
    service.says = "Fine.\nSCORE: 8"
    service.may_answer.set()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ALL_DIALECTS)
def test_an_answer_in_any_dialect_is_judged_blindly(service: Service, dialect: str, stream: bool) -> None:
    before = service.judge.outcomes.copy()
    answer = service.ask(dialect, f"What is 6 · 7? ({dialect} {stream})", stream=stream)
    service.wait_for_outcome(JudgeOutcome.JUDGED, before)
    assert service.read_metrics(answer)["judged"] == 0.8
    prompt = service.prompts[-1]
    assert f"\nWhat is 6 · 7? ({dialect} {stream})\n" in prompt
    assert "\nThe answer is 42.\n" in prompt
    assert not any(name in prompt for name in ("cheap", "claude", "model"))


def test_a_translated_answer_is_judged_too(service: Service) -> None:
    for stream in (False, True):
        before = service.judge.outcomes.copy()
        service.ask("chat", "Who?", model="claude-other", stream=stream)
        service.wait_for_outcome(JudgeOutcome.JUDGED, before)
        assert "\nThe answer is 42.\n" in service.prompts[-1]


def test_the_coin_is_in_the_log_and_the_call_has_its_price(service: Service) -> None:
    before = service.judge.outcomes.copy()
    answer = service.ask("chat", "Why?")
    service.wait_for_outcome(JudgeOutcome.JUDGED, before)
    store = Store.open(f"sqlite:///{service.folder}/router.db", "default", create=False)
    try:
        decision = store.decision(answer.headers["x-bandit-decision"])
        [costs] = store.own_costs(0)
    finally:
        store.close()
    assert {"judged_probability": 1.0, "will_be_judged": 1.0}.items() <= decision.signals.items()
    assert costs.purpose is Purpose.JUDGE
    assert costs.usd == pytest.approx(JUDGE_PRICE_USD * costs.calls)
    assert costs.calls == len(service.prompts)


def test_the_judge_never_judges_itself(service: Service) -> None:
    before, asked = service.judge.outcomes.copy(), len(service.prompts)
    answer = service.ask("chat", "Are you good?", model="judge")
    service.wait_for_outcome(JudgeOutcome.NOT_JUDGED, before)
    assert len(service.prompts) == asked + 1  # the client's own question
    assert "judged" not in service.read_metrics(answer)


def test_what_is_no_verdict_is_no_metric(service: Service) -> None:
    service.says = "SCORE: 10\nbut I am not sure."
    before = service.judge.outcomes.copy()
    answer = service.ask("chat", "Sure?")
    service.wait_for_outcome(JudgeOutcome.NO_VERDICT, before)
    assert "judged" not in service.read_metrics(answer)


def test_a_text_that_is_kept_for_the_judge_need_not_be_json(service: Service) -> None:
    before = service.judge.outcomes.copy()
    answer = service.ask("chat", "Plain?")
    service.wait_for_outcome(JudgeOutcome.JUDGED, before)
    assert "invalid_json" not in service.read_metrics(answer)


def test_nobody_waits_for_the_judge_and_what_finds_no_room_is_counted(service: Service) -> None:
    """One is being judged and two wait; two more find no room. All five clients have their answers."""
    service.may_answer.clear()
    before, asked = service.judge.outcomes.copy(), len(service.prompts)
    service.ask("chat", "slow 0")
    wait_until(lambda: len(service.prompts) == asked + 1)
    for i in range(1, 5):
        assert "42" in service.ask("chat", f"slow {i}").text
    wait_until(lambda: service.judge.outcomes[JudgeOutcome.QUEUE_FULL] == before[JudgeOutcome.QUEUE_FULL] + 2)
    service.may_answer.set()
    wait_until(lambda: service.judge.outcomes[JudgeOutcome.JUDGED] == before[JudgeOutcome.JUDGED] + 3)


def test_the_outcomes_are_in_the_figures_of_the_process(service: Service) -> None:
    def are_shown() -> bool:
        text = service.client.get("/metrics").text
        return all(
            f'bandit_router_judge_answers_total{{outcome="{outcome}"}} {float(count)}' in text
            for outcome, count in service.judge.outcomes.items()
        )

    assert service.judge.outcomes[JudgeOutcome.JUDGED] > 0
    wait_until(are_shown)


def make_settings(
    folder: Path,
    judge: dict[str, Any],
    answer: str = "SCORE: 10",
    provider: str = "scripted",
    **sections: dict[str, Any],
) -> Path:
    """Arms in this process, the judge among them."""
    lines = ['[features]\nembedding = "none"', f'[store]\nurl = "sqlite:///{folder}/router.db"']
    lines += ["[learner]\ninterval_s = 3600.0"]
    for name, section in {"judge": judge, **sections}.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    for name, enabled, of in (("cheap", True, "scripted"), ("judge", False, provider)):
        lines += [f'[[arms]]\nname = "{name}"\nprovider = "{of}"\nenabled = {str(enabled).lower()}']
        lines += ["input_usd_per_mtok = 1.0\noutput_usd_per_mtok = 1.0"]
        lines += [f"script = {{ answer = {json.dumps(answer)} }}"]
    path = folder / "router.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def make_chat(text: str) -> Exchange:
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]}).encode()
    return make_exchange(DIALECTS["chat"], body, {}, ["cheap", "judge"])


async def answer_all(gateway: Gateway, count: int) -> list[str]:
    """Have queries answered one after the other, each judged before the next; the ids of decisions."""
    assert gateway.judge is not None
    ids = []
    for i in range(count):
        answered = await gateway.answer(make_chat(f"query {i}"))
        async for _ in answered.call.iterate_bytes():
            pass
        await gateway._background.finish()
        await gateway.judge._waiting.join()
        ids.append(answered.decision.id)
    return ids


def test_a_budget_is_exceeded_by_one_call_at_most_and_then_no_answer_is_drawn(tmp_path: Path) -> None:
    """Each call is worth about 2 · 10⁻⁴ USD: the first spends the budget, the second is refused."""
    settings = make_settings(tmp_path, {"arm": "judge", "share": 1.0, "usd_per_day": 1e-6})

    async def play() -> tuple[Counter[JudgeOutcome], list[float], int]:
        async with AsyncRouter.open(settings) as router, open_gateway(router) as gateway:
            ids = await answer_all(gateway, 5)
            drawn = [float((await router.decision(id)).signals["judged_probability"]) for id in ids]
            calls = sum(costs.calls for costs in await router.own_costs())
            assert gateway.judge is not None
            return gateway.judge.outcomes, drawn, calls

    outcomes, drawn, calls = asyncio.run(play())
    assert outcomes == Counter({JudgeOutcome.JUDGED: 1, JudgeOutcome.OVER_BUDGET: 1})
    assert drawn == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert calls == 1


def test_the_coin_falls_as_often_as_it_should(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, {"arm": "judge", "share": 0.3})

    async def play() -> list[Exchange]:
        async with AsyncRouter.open(settings) as router, open_gateway(router) as gateway:
            assert gateway.judge is not None
            gateway.judge._rng = np.random.default_rng(7)
            await gateway.pool.open()
            return [gateway.judge.draw(make_chat("q")) for _ in range(2_000)]

    drawn = asyncio.run(play())
    assert {exchange.signals["judged_probability"] for exchange in drawn} == {0.3}
    heads = sum(float(exchange.signals["will_be_judged"]) for exchange in drawn)
    assert abs(heads / 2_000 - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 2_000)
    assert all(e.request.keeps_text == (e.signals["will_be_judged"] == 1.0) for e in drawn)


@pytest.mark.parametrize("counts", [True, False], ids=["in the reward", "not in it"])
def test_the_router_explores_on_answers_whose_verdict_counts(tmp_path: Path, counts: bool) -> None:
    reward = {"judged_for": "quality"} if counts else {}
    judge = {"arm": "judge", "share": 0.5}
    settings = make_settings(tmp_path, judge, router={"explore": "heard"}, reward=reward)

    async def play() -> set[tuple[float, Reason]]:
        async with AsyncRouter.open(settings) as router, open_gateway(router) as gateway:
            ids = await answer_all(gateway, 20)
            made = [await router.decision(id) for id in ids]
            return {(float(each.signals["will_be_judged"]), each.reason) for each in made}

    assert asyncio.run(play()) == {(1.0, Reason.POLICY if counts else Reason.GREEDY), (0.0, Reason.GREEDY)}


def test_without_a_judge_no_text_is_kept_and_no_signal_logged(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, {"share": 1.0})

    async def play() -> None:
        async with AsyncRouter.open(settings) as router, open_gateway(router) as gateway:
            assert gateway.judge is None
            answered = await gateway.answer(make_chat("q"))
            async for _ in answered.call.iterate_bytes():
                pass
            assert answered.call.record.facts.text is None
            assert "judged_probability" not in answered.decision.signals

    asyncio.run(play())


def test_a_judge_that_fails_or_has_no_key_stops_nothing(tmp_path: Path) -> None:
    """Its answer never comes, or it cannot be called: then no answer is chosen."""

    async def play(settings: Path) -> tuple[Counter[JudgeOutcome], float]:
        async with AsyncRouter.open(settings) as router, open_gateway(router) as gateway:
            [id] = await answer_all(gateway, 1)
            assert gateway.judge is not None
            drawn = (await router.decision(id)).signals["judged_probability"]
            return gateway.judge.outcomes, float(drawn)

    section = {"arm": "judge", "share": 1.0}
    settings = make_settings(tmp_path, section, provider="openai")
    assert asyncio.run(play(settings)) == (Counter(), 0.0)
    slow = make_settings(tmp_path, section | {"timeout_s": 0.05})
    script = 'script = { answer = "SCORE: 10", first_token_s = 600.0 }'
    slow.write_text(slow.read_text().replace('script = { answer = "SCORE: 10" }', script), encoding="utf-8")
    slow.write_text(slow.read_text().replace(script, 'script = { answer = "Hi" }', 1), encoding="utf-8")
    assert asyncio.run(play(slow)) == (Counter({JudgeOutcome.FAILED: 1}), 1.0)


def test_a_judge_that_nobody_can_call_is_named(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, {"arm": "nobody"})

    async def play() -> None:
        async with AsyncRouter.open(settings) as router, open_gateway(router):
            pass

    with pytest.raises(ConfigError, match=r"judge\.arm: 'nobody' is no arm .* use one of cheap, judge"):
        asyncio.run(play())
