"""The log of `serve`: lines that a person or a program can read."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.services import serving, write_settings


def test_lines_have_a_time_a_level_and_a_logger(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path)) as service:
        pass
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) (uvicorn|bandit_router)[.\w]*: .+"
    lines = service.log.splitlines()
    assert [entry for entry in lines if not re.fullmatch(line, entry)] == []
    assert sum("can corrupt a file" in entry for entry in lines) <= 1


def test_lines_as_json(tmp_path: Path) -> None:
    with serving(write_settings(tmp_path), "--log-format", "json", "--workers", "2") as service:
        pass
    entries = [json.loads(line) for line in service.log.splitlines()]
    assert {"time", "level", "logger", "message", "process"} == set(entries[0])
    assert len({entry["process"] for entry in entries}) == 3
