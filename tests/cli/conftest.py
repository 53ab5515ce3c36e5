"""Runs commands: as processes of their own, or in this one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bandit_router import cli
from tests.services import run_cli, write_settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of its error; fails unless there is exactly that, and exit code 1."""
        assert self.code == 1, self
        assert "Traceback" not in self.err
        [line] = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert self.err.endswith(f"{line}\n")
        return line


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `bandit-router` in the test's folder, as a process of its own."""

    def call(*arguments: str, **environment: str) -> Ran:
        done = run_cli(*arguments, folder=tmp_path, **environment)
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)

    return call


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The same in this process, which is quicker."""
    monkeypatch.chdir(tmp_path)

    def call_main(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["bandit-router", *arguments])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        out, err = capsys.readouterr()
        return Ran(code=int(exited.value.code or 0), out=out, err=err)

    return call_main


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path)
