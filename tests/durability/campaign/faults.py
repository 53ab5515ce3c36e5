"""The faults of the durability campaign, a function for each: killed, told to stop, cut off, out of disk."""

from __future__ import annotations

import os
import random
import signal
import tempfile
from contextlib import closing
from pathlib import Path

import httpx

from bandit_router.learning.audit import audit_store
from bandit_router.settings import load_settings
from bandit_router.store.store import Store
from tests.durability.campaign.controls import CONTROLS
from tests.durability.campaign.full_disk import (
    disk_full,
    lift_limit,
    on_full_disk,
    require_refusal,
    run_on_full_disk,
    smallest_file,
)
from tests.durability.campaign.nouns import POSTGRESQL, SQLITE, Campaign, Round, Site
from tests.durability.campaign.traffic import (
    ANSWERS,
    CALLERS,
    Scene,
    library,
    retry_unanswered,
    service,
    under_traffic,
)
from tests.durability.checks import read_log
from tests.durability.helpers import PATIENCE_S, eventually, write_config
from tests.durability.service import all_ready, workers
from tests.durability.sessions import cut_sessions
from tests.migrated import migrate_url
from tests.store.old_database import write_old_database

_KIB = 1024
_BOTH = (SQLITE, POSTGRESQL)


# -- processes ------------------------------------------------------------------------------------


def kill_all(scene: Scene) -> None:
    """SIGKILL to every process, the one that would start others first."""
    for pid in scene.pids():
        os.kill(pid, signal.SIGKILL)
    scene.end_traffic()


def kill_one_worker(scene: Scene) -> None:
    """SIGKILL to one of two workers: the other one goes on, and a third takes its place."""
    assert scene.service is not None
    os.kill(scene.rng.choice(workers(scene.service)), signal.SIGKILL)
    all_ready(scene.service, 3)
    scene.told.wait_for(ANSWERS)


def terminate(scene: Scene) -> None:
    """SIGTERM: the service ends by itself, and has answered whatever it committed."""
    assert scene.service is not None
    scene.service.process.terminate()
    scene.service.process.join(PATIENCE_S)
    status = scene.service.process.exitcode
    assert status in (0, -signal.SIGTERM), f"it ended with {status}"
    scene.end_traffic()
    committed = {decision["idempotency_key"] for decision in read_log(scene.site.url).decisions.values()}
    silent = committed & scene.told.read().unanswered().keys()
    assert not silent, f"committed but not answered: {silent}"


# -- the database ---------------------------------------------------------------------------------


def cut(scene: Scene) -> None:
    """PostgreSQL ends all sessions, a few times."""
    for _ in range(scene.rng.randint(1, 5)):
        cut_sessions(scene.site.url)
        scene.told.wait_for(ANSWERS // 2)


# -- the disk -------------------------------------------------------------------------------------


def fill_disk(scene: Scene) -> None:
    """The disk is full, a few times: callers hear of it, and are answered once there is room again."""
    for _ in range(scene.rng.randint(1, 3)):
        limit = smallest_file(scene.site.folder / "router.db") + scene.rng.randrange(64 * _KIB)
        with disk_full(scene.pids(), limit):
            scene.told.wait_for(CALLERS, refused=True)
            eventually(lambda: not _is_ready(scene), "readiness tells of the full disk")
        scene.told.wait_for(ANSWERS)
        eventually(lambda: _is_ready(scene), "readiness tells that there is room again")


def _is_ready(scene: Scene) -> bool:
    """What `/readyz` of one of the workers says."""
    assert scene.service is not None
    return httpx.get(f"{scene.service.url}/readyz", timeout=PATIENCE_S).status_code == 200


def start_on_full_disk(site: Site, rng: random.Random) -> None:
    """A service starts with the write-ahead log of a killed one and no room to go on with it."""
    with service(site, rng) as scene:
        site.told.wait_for(ANSWERS)
        kill_all(scene)
    try:
        with service(site, rng, module=on_full_disk(_little(rng))) as scene:
            site.told.wait_for(CALLERS, refused=True)
            lift_limit(scene.pids())
            site.told.wait_for(ANSWERS)
    except RuntimeError as error:  # it may as well refuse to start, if it says why
        if "Traceback" in str(error):
            raise
    retry_unanswered(site)


def rebuild_on_full_disk(site: Site, rng: random.Random) -> None:
    """`rebuild` runs out of disk: the posterior in force stays there, and the log as well."""
    with library(site, rng):
        site.told.wait_for(5 * ANSWERS)
    require_refusal(run_on_full_disk(_little(rng), "rebuild", "--config", site.config))
    retry_unanswered(site)


def migrate_on_full_disk(site: Site, rng: random.Random) -> None:
    """`migrate` runs out of disk: the database stays what it was, and is migrated once there is room."""
    with tempfile.TemporaryDirectory(dir=site.folder) as name:
        folder = Path(name)
        url = write_old_database(folder / "old.db")
        settings = load_settings(config := write_config(folder, url))
        require_refusal(run_on_full_disk(_little(rng), "migrate", "--config", config))
        migrate_url(url)
        with closing(Store.open(url, settings.router.name, create=False)) as store:
            report = audit_store(store)
        assert (report.decisions, report.problems) == (69, [])


def _little(rng: random.Random) -> int:
    """A limit that leaves room for SQLite's shared memory and a few commits, and for no more."""
    return rng.randrange(36 * _KIB, 48 * _KIB)


FAULTS: tuple[Round, ...] = (
    *under_traffic("SIGKILL of all processes", kill_all, (service, library), _BOTH),
    *under_traffic("SIGKILL of one worker", kill_one_worker, (service,), _BOTH),
    *under_traffic("SIGTERM", terminate, (service,), _BOTH),
    *under_traffic("sessions cut", cut, (service, library), (POSTGRESQL,)),
    *under_traffic("disk full", fill_disk, (service,), (SQLITE,)),
    Round("disk full at start-up", SQLITE, start_on_full_disk),
    Round("disk full in a rebuild", SQLITE, rebuild_on_full_disk),
    Round("disk full in a migration", SQLITE, migrate_on_full_disk),
)

CAMPAIGN = Campaign("durability", FAULTS, CONTROLS)
