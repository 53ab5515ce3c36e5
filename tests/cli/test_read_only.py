"""A database that cannot be written: readers read it, writers say what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bandit_router.router import Router
from tests.services import clean_environment, write_settings

LESS_THAN_ROOT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]  # root may write everything
RunAs = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder, outside of pytest's own, which only root may enter."""
    folder = Path(tempfile.mkdtemp(prefix="bandit-router-test-"))
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def decision(folder: Path) -> str:
    """A decision with feedback, in a database whose folder is then made read-only."""
    with Router.open(write_settings(folder)) as router:
        made = router.route("Why?")
        router.feedback(made.id, quality=1.0)
        router.learn()
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    return made.id


@pytest.fixture
def run(folder: Path) -> RunAs:
    """Runs a command as somebody who may not write."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        who = LESS_THAN_ROOT if os.getuid() == 0 else []
        return subprocess.run(
            [*who, sys.executable, "-m", "bandit_router.cli", *arguments, "-c", str(folder / "router.toml")],
            env=clean_environment(),
            capture_output=True,
            text=True,
        )

    return call


def test_readers_read_it(run: RunAs, decision: str) -> None:
    assert "feedback: quality = 1" in run("explain", decision).stdout
    assert run("verify").stdout.endswith("verify: ok\n")
    assert {arm["rewards_counted"] for arm in json.loads(run("arms", "list", "--json").stdout)} == {0, 1}
    calibrated = run("calibration", "--json")
    assert json.loads(calibrated.stdout)["total"]["reward"] is None, calibrated.stderr
    with tempfile.TemporaryDirectory(prefix="bandit-router-test-") as target:
        done = run("export", f"{target}/log", "--json")
        assert done.returncode == 0, done.stderr
        assert sum(json.loads(done.stdout)["rows"].values()) == 1


def test_a_writer_says_what_to_do(run: RunAs, decision: str) -> None:
    told = run("feedback", decision, "quality=0.5").stderr
    assert "read-only: copy the database to a folder you can write to" in told
    assert "Traceback" not in told


@pytest.mark.usefixtures("decision")
def test_commits_beside_the_file_are_not_passed_over(run: RunAs, folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "router.db-wal").write_bytes(b"commits")
    folder.chmod(0o555)
    told = run("verify").stderr
    assert "is read-only, and its newest commits are in router.db-wal; copy both" in told
