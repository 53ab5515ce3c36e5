"""Budgets of keys: many callers, clients that leave and a killed worker spend no more than there is."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import psutil
import pytest
from sqlalchemy import select

from bandit_router.cli.connect import open_quiet_router
from bandit_router.learning.audit import audit_store
from bandit_router.providers.scripted import Scene
from bandit_router.security.budget import KeySpending, to_billionths
from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import Scope
from bandit_router.store.store import Store
from bandit_router.store.tables import calls
from bandit_router.types import CallOutcome, Usage
from tests import overspending
from tests.durability.service import alive_workers, all_ready
from tests.gateway.conftest import ALL_DIALECTS
from tests.migrated import migrate_url
from tests.providers.upstream import Upstream, wait_until
from tests.providers.upstream import serving as serving_upstream
from tests.services import Service, serving, write_settings

CALLERS = 64
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
USD = 2.5e-4
"""The price of a token of output; input costs nothing."""

ANSWER = Scene(
    pieces=("a", "b", "c"), usage=Usage(input_tokens=5, output_tokens=30), first_token_s=0.3, gap_s=0.3
)
RESERVED = 20
"""Output tokens that are reserved for a request without a limit; an answer has ten more."""


@contextmanager
def budgeted(
    folder: Path, url: str, usd_per_day: float, scene: Scene, *options: str, **serve: Any
) -> Iterator[tuple[Service, Upstream, str]]:
    """A service with a cheap arm and one ten times as dear, its upstream, and a key with a budget."""
    with serving_upstream(scene) as upstream:
        bases = {
            "chat": f"{upstream.url}/v1",
            "responses": f"{upstream.url}/v1",
            "messages": upstream.url,
        }
        arms = tuple(
            {
                "name": name,
                "model": name,
                "input_usd_per_mtok": 0.0,
                "output_usd_per_mtok": usd * 1e6,
                "expected_output_tokens": 10,
                "dialects": ALL_DIALECTS,
                "base_url": bases,
                "allow_private": True,
            }
            for name, usd in (("cheap", USD), ("dear", 10 * USD))
        )
        config = write_settings(
            folder,
            arms=arms,
            store={"url": url},
            gateway={"reserved_output_tokens": RESERVED, "embeddings_arm": "cheap"},
            router={"cost_weight": 1e6},
            policy={"name": "epsilon-greedy", "epsilon": 1e-9},
        )
        with open_quiet_router(config) as router:
            request = KeyRequest(name="k", scopes=[Scope.ROUTE], usd_per_day=usd_per_day)
            credential = router.create_key(request).credential
        with serving(config, *options, **serve) as service:
            yield service, upstream, credential


@pytest.fixture
def spent(tmp_path: Path) -> Iterator[tuple[Service, Upstream, str]]:
    """A key that has room for an answer of 20 tokens of the cheap arm, and for none of the dear one."""
    with budgeted(tmp_path, f"sqlite:///{tmp_path}/router.db", 20 * USD, Scene(pieces=("Hi",))) as running:
        yield running


def test_clients_hear_what_is_left_and_when_it_grows(spent: tuple[Service, Upstream, str]) -> None:
    service, upstream, api_key = spent
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=api_key) as client:
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="auto", messages=MESSAGES, max_tokens=21)
        assert refused.value.code == "insufficient_quota"
        assert "has 0.005 USD left of its 0.005 USD a day" in str(refused.value)
        headers = refused.value.response.headers
        assert 1 <= int(headers["retry-after"]) <= 86_400
        assert headers["x-should-retry"] == "false"
        with pytest.raises(openai.RateLimitError):
            client.responses.create(model="auto", input="Say hello.", max_output_tokens=21)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="dear", messages=MESSAGES, max_tokens=20)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="auto", messages=MESSAGES, max_tokens=11, n=2)
    with (
        anthropic.Anthropic(base_url=service.url, api_key=api_key) as other,
        pytest.raises(anthropic.RateLimitError, match="USD left"),
    ):
        other.messages.create(model="claude-auto", messages=MESSAGES, max_tokens=21)
    assert upstream.app.calls == []


def test_an_arm_that_cannot_be_paid_for_is_not_eligible(spent: tuple[Service, Upstream, str]) -> None:
    service, _, api_key = spent
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=api_key) as client:
        answer = client.chat.completions.with_raw_response.create(model="auto", messages=MESSAGES)
    with closing(Store.open(f"sqlite:///{service.database}", "default", create=False)) as store:
        decision = store.decision(answer.headers["x-bandit-decision"])
    assert (decision.arm, decision.eligible, decision.pmf) == ("cheap", ("cheap",), (1.0,))
    assert decision.excluded == {"dear": "may cost more than the API key has left today"}


def test_embeddings_which_are_not_counted_are_refused(spent: tuple[Service, Upstream, str]) -> None:
    service, upstream, api_key = spent
    headers = {"x-api-key": api_key}
    refused = httpx.post(f"{service.url}/v1/embeddings", json={"model": "m", "input": "x"}, headers=headers)
    assert refused.status_code == 400
    assert "embeddings are not counted" in refused.json()["error"]["message"]
    assert upstream.app.calls == []


@pytest.mark.parametrize("limited", [True, False], ids=["max_tokens", "no limit"])
def test_many_callers_spend_no_more_than_there_is(tmp_path: Path, url: str, limited: bool) -> None:
    """Answers end at 30 tokens: with ``max_tokens`` as reserved, without it ten more than that."""
    spend_together(tmp_path, url, limited)


def test_a_ledger_that_only_checks_fails_that_test(tmp_path: Path, sqlite_url: str) -> None:
    with pytest.raises(AssertionError, match="spent more"):
        spend_together(tmp_path, sqlite_url, True, module=(overspending.MODULE,))


def spend_together(folder: Path, url: str, limited: bool, **serve: Any) -> None:
    migrate_url(url)
    with budgeted(folder, url, 1.0, ANSWER, "--workers", "2", **serve) as (service, upstream, api_key):
        all_ready(service, 2)
        limits = httpx.Limits(max_connections=CALLERS)
        with (
            httpx.Client(
                base_url=service.url, headers={"x-api-key": api_key}, limits=limits, timeout=30.0
            ) as client,
            ThreadPoolExecutor(CALLERS) as pool,
        ):
            asking = pool.map(partial(call_until_refused, client, limited), range(CALLERS))
            wait_until(lambda: len(upstream.app.calls) > CALLERS)  # some are answered, many under way
            os.kill(busiest_worker(service), signal.SIGKILL)
            statuses = Counter(status for part in asking for status in part)
    assert statuses[200]
    assert statuses[429] >= CALLERS // 2
    with closing(Store.open(url, "default", create=False)) as store:
        check_spending(store, api_key, most_excess_usd=0.0 if limited else 10 * USD)


def busiest_worker(service: Service) -> int:
    """The worker that most callers are connected to."""
    return max(alive_workers(service), key=lambda pid: len(psutil.Process(pid).net_connections()))


def call_until_refused(client: httpx.Client, limited: bool, caller: int) -> Sequence[int]:
    """Every eighth caller leaves each answer as soon as it begins."""
    body = {"model": "cheap", "messages": MESSAGES, "stream": caller % 8 == 0}
    body |= {"max_tokens": 30} if limited else {}
    statuses: list[int] = []
    while len(statuses) < 12 and 429 not in statuses:
        try:
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                statuses.append(answer.status_code)
                if body["stream"]:
                    next(answer.iter_raw())
                else:
                    answer.read()
        except httpx.TransportError:
            statuses.append(0)  # its worker was killed
    return statuses


def check_spending(store: Store, api_key: str, most_excess_usd: float) -> None:
    """Nothing stays reserved, what is spent is what calls cost, and it is within the budget's rule."""
    while store.sweep_calls(-1.0):
        pass
    with store.read_log() as log:
        columns = calls.c.outcome, calls.c.cost_usd
        ended = log.connection.execute(select(*columns)).all()
    booked = store.key_spending()[api_key.split("_")[1]]
    assert booked == KeySpending(0, sum(to_billionths(row.cost_usd) for row in ended))
    assert booked.spent_usd <= 1.0 + CALLERS * most_excess_usd + 1e-9, "spent more"
    assert audit_store(store).ok
    outcomes = Counter(row.outcome for row in ended)
    assert outcomes[CallOutcome.LOST.value]
    assert outcomes[CallOutcome.LEFT.value]
