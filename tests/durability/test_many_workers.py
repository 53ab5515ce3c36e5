"""Library processes and a service's workers on one database: every reward counts exactly once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from bandit_router.router import Router
from bandit_router.settings import load_settings
from tests.databases import MakeUrl, sql
from tests.durability.checks import Ledger, check_counted_once
from tests.durability.helpers import ARMS, context, eventually, quality, write_config
from tests.durability.service import all_ready, client_of, workers
from tests.durability.workers import (
    THREADS,
    Library,
    Routed,
    Said,
    barrier,
    library,
    library_that_reads_first,
    process,
)
from tests.migrated import migrate_url
from tests.services import Service, serving

DECISIONS, ROUNDS = 3_000, 5
SILENT, REVISED, RETRACTED, DUPLICATED = 0.05, 0.1, 0.03, 0.3


class Participant(Protocol):
    """One of the processes that share the database."""

    def route(self, contexts: Sequence[list[float]]) -> list[Routed]: ...

    def say(self, messages: Sequence[Said]) -> list[str]: ...

    def counts(self) -> dict[str, int]: ...


class ServerWorker:
    """One worker of a service as a participant."""

    def __init__(self, service: Service, worker: int) -> None:
        self._client = partial(client_of, service, worker=worker)

    def route(self, contexts: Sequence[list[float]]) -> list[Routed]:
        with self._client(THREADS) as client, ThreadPoolExecutor(THREADS) as threads:
            answers = threads.map(client.route, contexts)
            return [Routed(answer["id"], answer["arm"], answer["snapshot"]) for answer in answers]

    def say(self, messages: Sequence[Said]) -> list[str]:
        with self._client(THREADS) as client, ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(lambda message: client.say(*message), messages))

    def counts(self) -> dict[str, int]:
        with self._client(1) as client:
            return client.counts()


def test_two_libraries_and_two_server_workers_count_every_reward_once(
    make_url: MakeUrl, tmp_path: Path
) -> None:
    url = make_url()
    if not url.startswith("sqlite"):  # a new file is left for all of them to make at the same time
        migrate_url(url)
    config = write_config(tmp_path, url)
    rng, ledger, outcomes = random.Random(5), Ledger(), Counter[str]()
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(4))
        participants = _participants(config, stack, threads)
        began, routed = time.monotonic(), list[Routed]()
        for _ in range(ROUNDS):
            before, routed = routed, _route(participants, DECISIONS // ROUNDS, rng, ledger, threads)
            outcomes += _say(participants, _messages(routed, before, rng, ledger), rng, threads)
        outcomes += _say(participants, _messages([], routed, rng, ledger), rng, threads)
        rate = DECISIONS / (time.monotonic() - began)
        print(f"{url.partition(':')[0]}: {rate:.0f} decisions/s, each with its feedback")

        in_force = dict.fromkeys(ARMS, 0) | ledger.counts()
        eventually(lambda: all(p.counts() == in_force for p in participants), "everybody has learned it all")

        def all_use_one_snapshot() -> bool:
            return len({one.snapshot for one in _route(participants, 20, rng, ledger, threads)}) == 1

        eventually(all_use_one_snapshot, "everybody decides with the same snapshot")

    said = Counter(n for values in ledger.said.values() for n in range(len(values)))
    assert outcomes["recorded"] == said[0]
    assert outcomes["revised"] + outcomes["retracted"] == said[1]
    assert outcomes["duplicate"] == outcomes.total() - said.total() >= 0.25 * said.total()
    check_counted_once(config, ledger)


def _participants(config: Path, stack: ExitStack, threads: ThreadPoolExecutor) -> list[Participant]:
    """Two library processes and the two workers of a service, all started at the same moment."""
    pipes = threads.map(lambda _: stack.enter_context(process(library, config))[1], range(2))
    starting = threads.submit(lambda: stack.enter_context(serving(config, "--workers", "2")))
    libraries = [Library(pipe) for pipe in pipes]
    service = starting.result()
    all_ready(service, 2)
    return [*libraries, *(ServerWorker(service, worker) for worker in workers(service))]


def _route(
    participants: list[Participant], n: int, rng: random.Random, ledger: Ledger, threads: ThreadPoolExecutor
) -> list[Routed]:
    """Everybody routes a share of n queries at the same time."""
    contexts = [context(rng) for _ in range(n)]
    shares = [contexts[k :: len(participants)] for k in range(len(participants))]
    answers = threads.map(lambda participant, share: participant.route(share), participants, shares)
    routed = [decision for answer in answers for decision in answer]
    assert ledger.arms.keys().isdisjoint(decision.id for decision in routed)
    ledger.arms |= {decision.id: decision.arm for decision in routed}
    return routed


def _messages(new: list[Routed], old: list[Routed], rng: random.Random, ledger: Ledger) -> list[Said]:
    """First values for most of the new decisions; other values, or none, for some of the old ones."""
    messages = [Said(one.id, quality(one.id, 1)) for one in new if rng.random() > SILENT]
    for one in old:
        kind = rng.random()
        if one.id in ledger.said and kind < REVISED:
            messages.append(Said(one.id, quality(one.id, 2)))
        elif one.id in ledger.said and kind < REVISED + RETRACTED:
            messages.append(Said(one.id, None))
    for message in messages:
        ledger.say(*message)
    return messages


def _say(
    participants: list[Participant], messages: list[Said], rng: random.Random, threads: ThreadPoolExecutor
) -> Counter[str]:
    """Everybody sends a share at the same time, in any order; some of it is sent by another one, too."""
    k = len(participants)
    plans: list[list[Said]] = [[] for _ in participants]
    for message in messages:
        home = rng.randrange(k)
        plans[home].append(message)
        if rng.random() < DUPLICATED:
            plans[(home + rng.randrange(1, k)) % k].append(message)
    for plan in plans:
        rng.shuffle(plan)
    answers = threads.map(lambda participant, plan: participant.say(plan), participants, plans)
    return Counter(outcome for answer in answers for outcome in answer)


# -- negative control -----------------------------------------------------------------------------


def test_the_key_of_feedback_alone_stops_writers_that_read_too_early(config: Path) -> None:
    check_counted_once(config, _duplicates_by_two_broken_writers(config))


def test_without_the_key_of_feedback_the_check_fails(config: Path) -> None:
    with sql(load_settings(config).store.url) as connection:
        for table in ("pending", "feedback"):
            connection.exec_driver_sql(f"CREATE TABLE bare AS SELECT * FROM {table}")
            connection.exec_driver_sql(f"DROP TABLE {table}")
            connection.exec_driver_sql(f"ALTER TABLE bare RENAME TO {table}")
    ledger = _duplicates_by_two_broken_writers(config)
    with pytest.raises(AssertionError, match="feedback nobody sent, or twice"):
        check_counted_once(config, ledger)


def _duplicates_by_two_broken_writers(config: Path, decisions: int = 20) -> Ledger:
    """Two writers without locks send the same feedback at the same moment; what should be on record."""
    rng, ledger = random.Random(6), Ledger()
    with Router.open(config) as router:
        for _ in range(decisions):
            decision = router.route(features=context(rng))
            ledger.arms[decision.id] = decision.arm
            ledger.say(decision.id, quality(decision.id, 1))
    meet = barrier(2)
    with (
        process(library_that_reads_first, config, meet) as (_, one),
        process(library_that_reads_first, config, meet) as (_, other),
        ThreadPoolExecutor(2) as threads,
    ):
        writers = [Library(one), Library(other)]
        for decision_id, values in ledger.said.items():
            list(threads.map(lambda w, m: w.say(m), writers, [[Said(decision_id, values[0])]] * 2))
    return ledger
