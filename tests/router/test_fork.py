"""A router in a child of the process that opened it: every call raises at once, and the parent goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.services import write_settings

_SCRIPT = """
import asyncio, faulthandler, os, sys, threading, warnings
from bandit_router import Router
from bandit_router.errors import RouterForked
from bandit_router.router import AsyncRouter

warnings.simplefilter("ignore", DeprecationWarning)  # that threads do not survive a fork is the point
router = Router.open(sys.argv[1])
decision = router.route("before")
stop = threading.Event()


def route_on():
    while not stop.is_set():
        router.route("meanwhile")


threads = [threading.Thread(target=route_on, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()


async def route_on_asyncio():
    await AsyncRouter(router).route("child")


def check_child():
    for call in (
        lambda: router.route("child"),
        lambda: router.feedback(decision.id, quality=1.0),
        lambda: router.decision(decision.id),
        lambda: router.enable_arm("small"),
        lambda: asyncio.run(route_on_asyncio()),
        router.learn,
        router.refresh,
        router.ping,
    ):
        try:
            call()
        except RouterForked:
            continue
        raise AssertionError("no error")
    router.close()


for _ in range(20):  # whatever the threads hold at that moment
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(20, exit=True)
        try:
            check_child()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stop.set()
for thread in threads:
    thread.join()
assert router.decision(decision.id).id == decision.id
assert router.verify().ok
router.close()
"""


def test_a_forked_router_raises_at_once_and_its_parent_goes_on(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    command = [sys.executable, "-c", _SCRIPT, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
