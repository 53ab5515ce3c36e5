"""A worker that dies is replaced, whatever it was doing."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from tests.services import Service, serving, write_settings

_PATIENCE_S = 30.0  # half the time the parent gives a worker to answer


def _workers(service: Service) -> list[int]:
    return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", service.log)]


def _wait_for_workers(service: Service, count: int) -> list[int]:
    deadline = time.monotonic() + _PATIENCE_S
    while len(_workers(service)) < count:
        assert time.monotonic() < deadline, service.log
        time.sleep(0.05)
    return _workers(service)


def test_a_worker_that_dies_while_its_parent_waits_for_its_answer_is_replaced_at_once(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path), "--workers", "2") as service:
        first, _ = _wait_for_workers(service, 2)
        os.kill(first, signal.SIGSTOP)
        time.sleep(1.5)  # the parent asks every half second
        os.kill(first, signal.SIGKILL)
        _wait_for_workers(service, 3)
        assert f"Child process [{first}] died" in service.log
