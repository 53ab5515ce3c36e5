"""What is learned through the gateway equals what the same run through `/v1/route` and feedback learns.

Both runs draw from the same seed and fold at the same queries. Latency is measured, so that the two differ in
it: it is no part of the reward.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bandit_router.evaluation.datasets import Dataset, mixed_stream
from bandit_router.features import read_prompt
from bandit_router.gateway.dialects import DIALECTS
from bandit_router.posterior.state import ModelState, decode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.providers.scripted import Scene, Script, ScriptedRequest
from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store.tables import calls
from bandit_router.types import Usage
from tests.databases import sql
from tests.in_process import serving_in_process
from tests.providers.upstream import serving, wait_until
from tests.services import write_settings

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SEED = 19
QUERIES = 200
BLOCK = 50
"""Queries between two folds: the posterior that the next ones are routed by."""

FAILURE_RATE = 0.06
PRICES = ((0.05, 0.08), (0.25, 1.25), (0.6, 0.9), (2.5, 10.0))
"""USD per million tokens of input and of output, by arm."""

_ANSWER_ID = re.compile(rb'"id":"((?:chatcmpl-|resp_|msg_)[0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Play:
    """Queries whose outcome is known for every arm, which calls fail (n, k), and which answers are rated."""

    data: Dataset
    fails: np.ndarray[Any, np.dtype[np.bool_]]
    is_rated: np.ndarray[Any, np.dtype[np.bool_]]

    def usage(self, row: int, arm: int) -> Usage:
        assert self.data.input_tokens is not None
        assert self.data.output_tokens is not None
        return Usage(
            input_tokens=int(self.data.input_tokens[row]),
            output_tokens=int(self.data.output_tokens[row, arm]),
        )

    def cost_usd(self, row: int, arm: int) -> float:
        usage, (input_price, output_price) = self.usage(row, arm), PRICES[arm]
        return (usage.input_tokens * input_price + usage.output_tokens * output_price) / 1e6


@pytest.fixture(scope="module")
def play() -> Play:
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not beside the checkout ({SHARED})")
    data = mixed_stream(SHARED / "zeroeval.parquet", SHARED / "llm_confidence.parquet")
    rng = np.random.default_rng(SEED)
    data = data.take(rng.permutation(len(data.queries))[:QUERIES])
    assert len(set(data.queries)) == QUERIES
    return Play(data, rng.random(data.quality.shape) < FAILURE_RATE, rng.random(QUERIES) < 0.5)


def make_script(play: Play) -> Script:
    """What the models of the data answered."""
    rows = {query: row for row, query in enumerate(play.data.queries)}

    def answer(request: ScriptedRequest) -> Scene:
        fields = request.fields()
        row = rows[fields.get("input") or fields["messages"][0]["content"]]
        arm = play.data.models.index(request.model)
        if play.fails[row, arm]:
            return Scene(status=500)
        return Scene(pieces=("An", " answer"), usage=play.usage(row, arm))

    return answer


@contextmanager
def seeded_service(config: Path) -> Iterator[tuple[httpx.Client, Router]]:
    """A service that draws from a seed, and its router, which folds when it is told to."""
    with serving_in_process(config) as (url, gateway), httpx.Client(base_url=url) as client:
        router = gateway.router._router
        router._rng = np.random.default_rng(SEED)
        yield client, router


def write_config(folder: Path, play: Play, upstream: str) -> Path:
    folder.mkdir()
    url = {"chat": f"{upstream}/v1", "responses": f"{upstream}/v1", "messages": upstream}
    arms = tuple(
        {
            "name": model,
            "input_usd_per_mtok": input_price,
            "output_usd_per_mtok": output_price,
            "dialects": list(DIALECTS),
            "base_url": url,
            "allow_private": True,
        }
        for model, (input_price, output_price) in zip(play.data.models, PRICES, strict=True)
    )
    # The share of rated answers is one of those old enough, which a slow machine makes more of.
    policy = {"name": "tempered", "rated_exponent": 0.0}
    return write_settings(folder, arms=arms, policy=policy, learner={"interval_s": 3600.0})


def play_through_gateway(play: Play, folder: Path) -> ModelState:
    """Every query is answered by the gateway; half of the answers are rated by their own ids."""
    with serving(make_script(play)) as upstream:
        config = write_config(folder, play, upstream.url)
        url = load_settings(config).store.url
        with seeded_service(config) as (client, router):
            for block in blocks():
                rated = []
                for row in block:
                    answer = ask_gateway(client, row, play.data.queries[row])
                    if play.is_rated[row]:
                        rated.append((row, find_answer_id(answer), answer.headers["x-bandit-arm"]))
                for row, answer_id, arm in rated:
                    quality = play.data.quality[row, play.data.models.index(arm)]
                    give_feedback(client, answer_id, {"quality": quality})
                wait_until(lambda: all_ended(url))
                router.learn()
            return read_state(router)


def play_through_route(play: Play, folder: Path) -> ModelState:
    """The caller makes the calls, goes on to another arm when one fails, and reports the same metrics."""
    config = write_config(folder, play, "http://127.0.0.1:1")
    with seeded_service(config) as (client, router):
        for block in blocks():
            rated = []
            for row in block:
                failed: list[str] = []
                decision, arm = route(client, play, row, failed)
                while play.fails[row, arm]:
                    give_feedback(client, decision, {"error": 1.0, "cost_usd": 0.0})
                    failed.append(play.data.models[arm])
                    decision, arm = route(client, play, row, failed)
                good = {"error": 0.0, "refusal": 0.0, "truncated": 0.0, "empty": 0.0}
                give_feedback(client, decision, {"cost_usd": play.cost_usd(row, arm), **good})
                if play.is_rated[row]:
                    rated.append((decision, play.data.quality[row, arm]))
            for decision, quality in rated:
                give_feedback(client, decision, {"quality": quality})
            router.learn()
        return read_state(router)


def blocks() -> Sequence[range]:
    return [range(start, start + BLOCK) for start in range(0, QUERIES, BLOCK)]


def ask_gateway(client: httpx.Client, row: int, query: str) -> httpx.Response:
    path, body = make_request(row, query)
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer


def make_request(row: int, query: str) -> tuple[str, dict[str, Any]]:
    """The path and body of a request: one dialect after the other, every second one streamed."""
    dialect = list(DIALECTS.values())[row % len(DIALECTS)]
    messages = [{"role": "user", "content": query}]
    prompt = {"input": query} if dialect.name == "responses" else {"messages": messages}
    most = {"max_tokens": 1000} if dialect.name == "messages" else {}
    return dialect.path, {"model": "auto", "stream": row % 2 == 1, **prompt, **most}


def find_answer_id(answer: httpx.Response) -> str:
    found = _ANSWER_ID.search(answer.content)
    assert found is not None, answer.text
    return found[1].decode()


def route(client: httpx.Client, play: Play, row: int, failed: Sequence[str]) -> tuple[str, int]:
    """The id of a decision, and its arm's number. The caller counts the tokens of the whole request."""
    query = play.data.queries[row]
    tokens = read_prompt(make_request(row, query)[1]).input_tokens
    answer = client.post("/v1/route", json={"query": query, "input_tokens": tokens, "forbid": failed})
    assert answer.status_code == 200, answer.text
    decision = answer.json()
    return decision["decision_id"], play.data.models.index(decision["arm"])


def give_feedback(client: httpx.Client, id: str, metrics: dict[str, float]) -> None:
    answer = client.post("/v1/feedback", json={"decision_id": id, "metrics": metrics})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["outcomes"].values()) == {"recorded"}


def all_ended(url: str) -> bool:
    with sql(url) as connection:
        return not connection.execute(calls.select().where(calls.c.outcome.is_(None))).first()


def read_state(router: Router) -> ModelState:
    report = router.verify()
    assert (report.problems, report.pending) == ([], 0)
    return decode_state(router._store.published()[2])


def test_the_gateway_learns_what_a_caller_who_reports_everything_teaches(play: Play, tmp_path: Path) -> None:
    by_gateway = play_through_gateway(play, tmp_path / "gateway")
    by_caller = play_through_route(play, tmp_path / "route")
    pairs: tuple[tuple[SufficientStatistics, SufficientStatistics], ...] = (
        (by_gateway.rewards, by_caller.rewards),
        (by_gateway.costs, by_caller.costs),
    )
    for ours, theirs in pairs:
        assert ours.arms == theirs.arms
        assert min(ours.count) > 0, "an arm was never called"
        for name in ("count", "second", "cross", "square", "prior_mean", "prior_precision"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)
