"""A real service for tests: `bandit-router serve` in a process of its own, with its own database.

with serving(write_settings(tmp_path)) as service:
    httpx.post(f"{service.url}/v1/route", json={"query": "hello"})
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryFile
from typing import Any

from tests.migrated import migrated_sqlite
from tests.processes import end, start_module

SMALL = {"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6, "capabilities": ["tools"]}
LARGE = {"name": "large", "input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0, "context_window": 128_000}

_CLI = "bandit_router.cli"
_DEADLINE_S = 60.0
_COMMAND_DEADLINE_S = 240.0
_RUNNING = re.compile(r"Uvicorn running on (http://\S+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A running service: its process, where it listens, what it runs on, what it has written to its log."""

    process: BaseProcess
    url: str
    config: Path
    log_path: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def database(self) -> Path:
        return self.config.with_name("router.db")

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")


def write_settings(
    folder: Path, *, arms: tuple[Mapping[str, Any], ...] = (SMALL, LARGE), **sections: Mapping[str, Any]
) -> Path:
    """Write ``folder``/router.toml: two arms, no embedding, ``folder``/router.db; ``sections`` override."""
    tables: dict[str, Mapping[str, Any]] = {
        "features": {"embedding": "none"},
        "store": {"url": f"sqlite:///{folder}/router.db"},
        "learner": {"interval_s": 0.1},
    }
    lines: list[str] = []
    for name in tables.keys() | sections.keys():
        lines += [f"[{name}]", *_keys({**tables.get(name, {}), **sections.get(name, {})})]
    for arm in arms:
        lines += ["[[arms]]", *_keys(arm)]
    path = folder / "router.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _keys(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_keys(value)) + " }"
    return json.dumps(value)  # such JSON is TOML too


def clean_environment() -> dict[str, str]:
    """The environment without any setting of ours, so that only router.toml speaks."""
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith("BANDIT_ROUTER_")
    }


def run_cli(*arguments: str, folder: Path = Path(), **environment: str) -> CompletedProcess[str]:
    """`bandit-router` in ``folder``, to its end."""
    return run_module(_CLI, *arguments, folder=folder, **environment)


def run_module(
    module: str, *arguments: str, folder: Path = Path(), **environment: str
) -> CompletedProcess[str]:
    """`python -m module` in ``folder``, to its end; no setting of ours is in its environment but these."""
    with open(os.devnull) as nothing, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        streams = (nothing.fileno(), out.fileno(), err.fileno())
        variables = clean_environment() | environment
        process = start_module((module, *arguments), variables, folder, streams)
        process.join(_COMMAND_DEADLINE_S)
        end(process)
        for stream in (out, err):
            stream.seek(0)
        assert process.exitcode is not None
        return CompletedProcess(arguments, process.exitcode, out.read(), err.read())


@contextmanager
def serving(config: Path, *options: str, module: Sequence[str] = (_CLI,)) -> Iterator[Service]:
    """`bandit-router serve` on a free port, ready when the block starts and gone after it.

    Where ``config`` names a router.db beside it that is not there, there will be a migrated one.
    ``module`` runs the command line; its first item is the module's name, the others are its arguments.
    """
    command = [*module, "serve", "--config", str(config), "--port", "0", *options]
    log_path, database = config.with_name("service.log"), config.with_name("router.db")
    if not database.exists() and f"sqlite:///{database}" in config.read_text(encoding="utf-8"):
        database.write_bytes(migrated_sqlite())
    with open(os.devnull) as nothing, log_path.open("wb") as log:
        streams = (nothing.fileno(), log.fileno(), log.fileno())
        process = start_module(command, clean_environment(), Path(), streams)
    try:
        url = _ready_url(process, log_path)
        yield Service(process=process, url=url, config=config, log_path=log_path)
    finally:
        process.terminate()
        process.join(_DEADLINE_S)
        end(process)


def _ready_url(process: BaseProcess, log_path: Path) -> str:
    deadline = time.monotonic() + _DEADLINE_S
    while process.is_alive() and time.monotonic() < deadline:
        running = _RUNNING.search(log_path.read_text(encoding="utf-8"))
        if running:
            try:
                with urllib.request.urlopen(f"{running[1]}/readyz"):
                    return running[1]
            except OSError:
                pass
        time.sleep(0.02)
    raise RuntimeError(f"the service did not start:\n{log_path.read_text(encoding='utf-8')}")
