"""The application in workers that gunicorn forks: each opens a router of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import httpx
import pytest

from bandit_router.settings import CONFIG_VARIABLE
from tests.services import clean_environment, write_settings

_BOUND_S = 60.0


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_forked_workers_share_what_they_learn(tmp_path: Path, options: tuple[str, ...]) -> None:
    config = write_settings(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "gunicorn", "-k", "uvicorn_worker.UvicornWorker", "-w", "2", *options),
        *("-b", f"127.0.0.1:{port}", "bandit_router.server.app:from_environment()"),
    ]
    environment = clean_environment() | {CONFIG_VARIABLE: str(config), "HOME": str(tmp_path)}
    log_path = tmp_path / "gunicorn.log"
    with (
        log_path.open("wb") as log,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, log_path)
            with httpx.Client(base_url=url) as client:
                for _ in range(20):
                    answer = client.post("/v1/route", json={"query": "q"}, headers={"Connection": "close"})
                    decision_id = answer.raise_for_status().json()["decision_id"]
                    assert client.get(f"/v1/decisions/{decision_id}").status_code == 200
        finally:
            process.terminate()
            process.wait(_BOUND_S)
    assert process.returncode == 0, log_path.read_text()


def _wait_until_ready(url: str, log_path: Path) -> None:
    deadline = time.monotonic() + _BOUND_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz"):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log_path.read_text())
