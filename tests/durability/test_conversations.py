"""Many callers of many workers in the same conversations at the same moment, and after a restart."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store import write_requests
from bandit_router.store.conversations import apply_claims
from bandit_router.store.store import Store
from bandit_router.types import Decision, Reason
from tests.conversations import assert_kept
from tests.databases import MakeUrl
from tests.durability.helpers import DIM, context
from tests.durability.service import all_ready, client_of, workers
from tests.services import serving, write_settings

CONVERSATIONS, ROUNDS = 25, 6
QUALITY = {"small": 0.2, "medium": 0.7, "large": 0.9}
PRICES = {"small": 1.0, "medium": 4.0, "large": 10.0}
WEIGHTS = (0.0, 200.0, 1e5)
"""Cost weights with which the large, the medium and the small arm is best."""

Caller = Callable[[str, float], str]
"""Routes a query of a conversation at a cost weight; the id of the decision."""


@pytest.fixture
def config(make_url: MakeUrl, tmp_path: Path) -> Path:
    """A router that begins conversations anywhere and knows the quality of its arms."""
    path = write_settings(
        tmp_path,
        arms=tuple(
            {"name": arm, "input_usd_per_mtok": 0.0, "output_usd_per_mtok": usd}
            for arm, usd in PRICES.items()
        ),
        store={"url": make_url(migrated=True)},
        features={"embedding": "vector", "vector_dim": DIM},
        policy={"name": "uniform"},
        posterior={"noise_std": 0.1},
    )
    rng = random.Random(1)
    with Router.open(path) as router:
        for arm in list(QUALITY) * 12:
            made = router.route(features=context(rng), arms=[arm])
            router.feedback(made.id, quality=QUALITY[arm])
        router.learn()
    return path


def test_two_workers_and_a_restart_keep_every_conversation(config: Path) -> None:
    ids: list[list[str]] = []
    for _ in range(2):
        with serving(config, "--workers", "2") as service, ExitStack() as stack:
            all_ready(service, 2)
            clients = [
                stack.enter_context(client_of(service, 4, worker=worker)) for worker in workers(service)
            ]
            callers = [_caller(client.route) for client in clients]
            ids += _converse(callers, seed=len(ids), rounds=ROUNDS // 2)
    seen = _check(config, ids)
    assert sum(decision.reason is Reason.POLICY for decision in seen) == CONVERSATIONS
    assert sum(decision.reason is Reason.PROMOTION for decision in seen) > 3
    assert sum(decision.reason is Reason.STICKY for decision in seen) > CONVERSATIONS * ROUNDS


def test_two_libraries_keep_every_conversation(config: Path) -> None:
    with _libraries(config) as callers:
        ids = _converse(callers, seed=0, rounds=ROUNDS)
    _check(config, ids)


def test_two_libraries_that_trust_what_they_read_are_caught(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: decisions are committed as they were made, whatever others did meanwhile."""

    def trusting(connection: Any, router: str, claimed: Any, logged: Any) -> list[Decision]:
        apply_claims(connection, router, claimed, logged)
        return [decision for decision, _ in claimed]

    monkeypatch.setattr(write_requests, "apply_claims", trusting)
    with _libraries(config) as callers:
        ids = _converse(callers, seed=0, rounds=ROUNDS)
    with pytest.raises(AssertionError, match=r"begins again|changes from|promoted twice"):
        _check(config, ids)


def _caller(route: Callable[..., dict[str, Any]]) -> Caller:
    def call(conversation: str, weight: float) -> str:
        found: str = route([1.0] * DIM, conversation=conversation, cost_weight=weight)["id"]
        return found

    return call


@contextmanager
def _libraries(config: Path) -> Iterator[list[Caller]]:
    """Two routers on the same database, each used by many threads."""
    with Router.open(config) as one, Router.open(config) as other:

        def caller(router: Router) -> Caller:
            return lambda conversation, weight: (
                router.route(features=[1.0] * DIM, conversation=conversation, cost_weight=weight).id
            )

        yield [caller(one), caller(other)]


def _converse(callers: Sequence[Caller], seed: int, rounds: int) -> list[list[str]]:
    """In every round each caller routes twice in every conversation, all at the same time; ids by round."""
    rng, ids = random.Random(seed), []
    with ThreadPoolExecutor(4 * len(callers)) as threads:
        for _ in range(rounds):
            plan = [
                (caller, f"c{i}", rng.choice(WEIGHTS))
                for i in range(CONVERSATIONS)
                for caller in callers
                for _ in range(2)
            ]
            ids.append(list(threads.map(lambda one: one[0](*one[1:]), plan)))
    return ids


def _check(config: Path, ids: list[list[str]]) -> list[Decision]:
    """Rounds follow each other; within a round, some order in which it was committed must explain it."""
    settings = load_settings(config)
    with closing(Store.open(settings.store.url, settings.router.name)) as store:
        rounds = [[store.decision(id) for id in some] for some in ids]
    arms: dict[str, str] = {}
    everything: list[Decision] = []
    for decisions in rounds:
        ordered = sorted(decisions, key=lambda one: _place(one, decisions, arms))
        arms |= {str(one.conversation): one.arm for one in ordered}
        everything += ordered
    assert_kept(everything)
    with Router.open(config) as router:
        assert router.verify().ok
    return everything


def _place(decision: Decision, others: Sequence[Decision], arms: dict[str, str]) -> int:
    """First what begins it, then steps at the arm of before, then a promotion, then what follows that."""
    name = str(decision.conversation)
    first = next((d.arm for d in others if d.conversation == name and d.reason is Reason.POLICY), None)
    if decision.reason in (Reason.POLICY, Reason.PROMOTION):
        return 0 if decision.reason is Reason.POLICY else 2
    return 1 if decision.arm == arms.get(name, first) else 3
