"""The rounds of the gateway's campaign: workers are killed while clients leave and upstreams misbehave."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
from sqlalchemy import func, select, update

from bandit_router.gateway.dialects import DIALECTS
from bandit_router.store.tables import calls
from tests.databases import sql
from tests.durability.campaign.gateway import probe
from tests.durability.campaign.gateway.clients import CLIENTS, clients_of
from tests.durability.campaign.gateway.memory import Memory, watch_memory
from tests.durability.campaign.gateway.upstream import ARMS, PRICES, count_running, make_script, note_served
from tests.durability.campaign.nouns import Site
from tests.durability.helpers import Acknowledgements, eventually
from tests.durability.service import alive_workers, all_ready, client_of
from tests.in_process import serving_in_process
from tests.providers.upstream import Upstream
from tests.providers.upstream import serving as serving_upstream
from tests.services import Service, serving, write_settings

WORKERS = 2
KILLS = 2
_ANSWERS = 20
"""Before a worker is killed, so that both have begun to call."""

_AFTERWARDS_S = 1.0
_LONG_AGO_S = 3600.0
_MOST_CONNECTIONS = CLIENTS * len(ARMS)
_SETTLING_S = 30.0
"""A worker that was looked at for less than twice as long is still growing what it grows once."""

_MOST_GROWTH_MB = 16.0
"""By which a worker may grow after that: the page caches of SQLite fill for some thousand requests."""


def make_gateway_site(folder: Path, url: str) -> Site:
    """A site of a gateway; each of its rounds writes the settings, with the address of its upstreams."""
    return Site(folder / "router.toml", url, Acknowledgements(folder / "told"))


def write_gateway_settings(site: Site, upstream: str) -> None:
    """Arms whose time-outs are short, and queries that are logged: they name the request."""
    base = {"chat": f"{upstream}/v1", "responses": f"{upstream}/v1", "messages": upstream}
    arms = tuple(
        {
            "name": name,
            "model": f"{name}-model",
            "input_usd_per_mtok": PRICES[name][0],
            "output_usd_per_mtok": PRICES[name][1],
            "dialects": list(DIALECTS),
            "base_url": base,
            "allow_private": True,
            "first_token_timeout_s": 0.6,
            "gap_timeout_s": 0.6,
            "total_timeout_s": 3.0,
        }
        for name in ARMS
    )
    write_settings(
        site.folder,
        arms=arms,
        store={"url": site.url, "lock_timeout_s": 30.0},
        router={"log_queries": True},
        posterior={"on_drift": "alarm"},
        policy={"name": "epsilon-greedy", "epsilon": 0.5},
    )


def run_chaos(site: Site, rng: random.Random, *, seconds: float) -> None:
    """Traffic for so long, in the middle of which two workers are killed; then nothing may be left over."""
    with (
        upstreams_of(site, rng) as upstream,
        serving(site.config, "--workers", str(WORKERS), module=(probe.MODULE,)) as service,
    ):
        all_ready(service, WORKERS)
        idle = max(count_tasks(service, pid) for pid in alive_workers(service))
        with (
            watch_memory(lambda: alive_workers(service)) as memory,
            clients_of(service.url, site.told, rng.getrandbits(32)),
        ):
            end = time.monotonic() + seconds
            for kill in range(1, KILLS + 1):
                time.sleep(seconds * (0.1 + 0.1 * rng.random()))
                site.told.wait_for(_ANSWERS)
                eventually(lambda: count_open_calls(site.url) >= CLIENTS // 2, "calls are under way")
                os.kill(rng.choice(alive_workers(service)), signal.SIGKILL)
                site.told.note("killed", time.time())
                all_ready(service, WORKERS + kill)
            time.sleep(max(_AFTERWARDS_S, end - time.monotonic()))
        check_leaks(service, upstream, idle)
        note_memory(site, memory, alive_workers(service))
    age_open_calls(site.url)
    with serving_in_process(site.config):
        eventually(lambda: count_open_calls(site.url) == 0, "calls of killed workers are swept")


@contextmanager
def upstreams_of(site: Site, rng: random.Random) -> Iterator[Upstream]:
    """Upstreams that misbehave, the settings to call them by, and afterwards a note of what they served."""
    with serving_upstream(make_script(rng.getrandbits(32))) as upstream:
        write_gateway_settings(site, upstream.url)
        try:
            yield upstream
        finally:
            note_served(upstream.app, site.told)


def count_tasks(service: Service, worker: int) -> int:
    with client_of(service, 1, worker=worker) as client:
        return int(client.get(probe.PATH))


def check_leaks(service: Service, upstream: Upstream, idle: int) -> None:
    """Once the clients have gone, no task is left, upstream works for nobody, and connections are pooled."""
    eventually(lambda: count_running(upstream.app.calls) == 0, "upstream works for nobody")
    for pid in alive_workers(service):
        tasks, connections = partial(count_tasks, service, pid), partial(count_connections, pid, upstream)
        eventually(partial(_is_at_most, tasks, idle), "the tasks of a worker have ended")
        eventually(partial(_is_at_most, connections, _MOST_CONNECTIONS), "a worker has closed connections")


def _is_at_most(count: Callable[[], int], most: int) -> bool:
    return count() <= most


def count_connections(pid: int, upstream: Upstream) -> int:
    port = int(upstream.url.rpartition(":")[2])
    return sum(bool(one.raddr) and one.raddr.port == port for one in psutil.Process(pid).net_connections())


def note_memory(site: Site, memory: Memory, pids: list[int]) -> None:
    """Note how workers grew of a long time; raises AssertionError where one grew without end."""
    for pid in pids:
        grown_mb, seconds = memory.growth_mb(pid)
        if seconds > _SETTLING_S:
            size_mb = memory.looks[pid][-1][1]
            figure = f"a worker of {size_mb:.0f} MB grew by {grown_mb:.1f} MB in its last {seconds:.0f} s"
            site.told.note("figure", figure)
            assert grown_mb < _MOST_GROWTH_MB, figure


def age_open_calls(url: str) -> None:
    """Have the calls that are under way begin long ago, as if so much time had passed."""
    with sql(url) as connection:
        old = calls.c.started_at - _LONG_AGO_S
        connection.execute(update(calls).where(calls.c.outcome.is_(None)).values(started_at=old))


def count_open_calls(url: str) -> int:
    with sql(url) as connection:
        return connection.scalar(select(func.count()).where(calls.c.outcome.is_(None))) or 0
