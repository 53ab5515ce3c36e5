"""Callers in the middle of whose traffic a fault strikes, and the retries of what it left unanswered."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from http.client import HTTPException
from itertools import product
from typing import Any

from bandit_router.router import Router
from tests.durability.campaign.nouns import Round, Site
from tests.durability.helpers import Acknowledgements, ConnectionLost, converse, plain, quality
from tests.durability.service import all_ready, client_of, workers
from tests.durability.workers import conversations, process
from tests.services import Service, serving

CALLERS = 4
ANSWERS = 60
"""Answers to wait for before and after a fault, so that it falls into the middle of traffic and folds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What a fault can strike: the processes that callers talk to, and their database."""

    site: Site
    rng: random.Random
    service: Service | None
    pids: Callable[[], list[int]]
    end_traffic: Callable[[], None]
    """Waits until the callers have noted their last answers; raises what any of them raised."""

    @property
    def told(self) -> Acknowledgements:
        return self.site.told


Face = Callable[[Site, random.Random], AbstractContextManager[Scene]]
"""Starts the processes of a round and its callers; both have ended after the block."""


@contextmanager
def service(
    site: Site, rng: random.Random, *, module: Sequence[str] = ("bandit_router.cli",)
) -> Iterator[Scene]:
    """`bandit-router serve` with two workers, and callers that connect again when it hangs up."""
    stop = threading.Event()
    with (
        serving(site.config, "--workers", "2", module=module) as running,
        client_of(running, CALLERS) as client,
        ThreadPoolExecutor(CALLERS) as threads,
    ):
        all_ready(running, 2)
        route, say = _notice_hang_ups(client.route), _notice_hang_ups(client.say)
        seeds = [rng.getrandbits(32) for _ in range(CALLERS)]
        talks = [threads.submit(converse, route, say, site.told, seed, stop) for seed in seeds]

        def end_traffic() -> None:
            stop.set()
            for talk in talks:
                talk.result()

        try:
            yield Scene(
                site=site,
                rng=rng,
                service=running,
                pids=lambda: [pid for pid in (running.pid, *workers(running)) if _is_alive(pid)],
                end_traffic=end_traffic,
            )
        finally:
            stop.set()
        end_traffic()


@contextmanager
def library(site: Site, rng: random.Random) -> Iterator[Scene]:
    """A process that uses the library from several threads; the end of the block kills it."""
    with process(conversations, site.config, site.told.path, rng.getrandbits(32)) as (child, pipe):
        pipe.send("go on")
        pids = [child.pid] if child.pid else []
        yield Scene(site=site, rng=rng, service=None, pids=lambda: pids, end_traffic=child.join)


def under_traffic(
    kind: str, strike: Callable[[Scene], None], faces: Iterable[Face], backends: Iterable[str]
) -> Iterator[Round]:
    """Rounds whose fault strikes in the middle of traffic, for each face and kind of database."""

    def run(site: Site, rng: random.Random, *, face: Face) -> None:
        with face(site, rng) as scene:
            site.told.wait_for(ANSWERS)
            time.sleep(rng.random() * 0.05)
            strike(scene)
        retry_unanswered(site)

    for face, backend in product(faces, backends):
        yield Round(kind, backend, partial(run, face=face))


def retry_unanswered(site: Site) -> None:
    """Send once more, with its key, whatever was asked and never answered; the feedback as well."""
    told = site.told.read()
    with Router.open(site.config) as router:
        for key, x in told.unanswered().items():
            site.told.note("decision", plain(router.route(features=x, idempotency_key=key)), key)
        for i in site.told.read().decisions.keys() - told.stages.keys():
            router.feedback(i, quality=quality(i, 1))
            site.told.note("feedback", i, 1)


def _notice_hang_ups(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def attempt(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except (OSError, HTTPException) as error:
            time.sleep(0.02)  # nobody may be listening: do not ask in a tight loop
            raise ConnectionLost(repr(error)) from error

    return attempt


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
