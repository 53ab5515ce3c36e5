"""The README's code blocks do what it says."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import clean_environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def blocks(language: str, word: str) -> list[str]:
    found = [text for kind, text in BLOCKS if kind == language and word in text]
    assert found, f"the README has no {language} block with {word!r}"
    return found


def run(command: list[str], folder: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment() | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_example_runs_and_learns(tmp_path: Path) -> None:
    (code,) = blocks("python", "Router.open")
    first, last = run([sys.executable, "-W", "error", "-c", code], tmp_path).splitlines()
    assert re.fullmatch(r"gpt-4o(-mini)? with probability 0\.\d\d", first)
    counts, ok = last.rsplit(" ", 1)
    assert ok == "True"
    assert counts in ("{'large': 1, 'small': 0}", "{'large': 0, 'small': 1}")


def test_the_python_example_fits_twenty_lines() -> None:
    (code,) = blocks("python", "Router.open")
    assert len(code.strip().splitlines()) <= 20


def test_the_shell_example_routes_and_gives_feedback(tmp_path: Path) -> None:
    (script,) = blocks("sh", "bandit-router serve")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    script = f"set -e\ntrap 'kill %1' EXIT\n{script.replace('8080', port)}"
    out = run(["bash", "-c", script], tmp_path, BANDIT_ROUTER_SERVER__PORT=port)
    assert '"status":"ready"' in out
    assert '"outcomes":{"quality":"recorded","cost_usd":"recorded"}' in out
    assert '"metrics":{"cost_usd":0.0004,"quality":0.9}' in out.replace(" ", "")


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", README, re.MULTILINE))))
def test_the_make_targets_exist(target: str) -> None:
    run(["make", "--dry-run", target], ROOT)
