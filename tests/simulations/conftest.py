"""Scripts run as they are, in processes of their own, on one in eight of the real queries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.services import run_module
from tests.simulations.worlds import DATA, ROOT

Figures = Callable[..., tuple[str, dict[str, Any]]]
"""Runs a script for 60 queries: what it shows, and its figures."""

_ONE_IN = 8
"""Contexts and classifiers are made of all queries, also of those that nobody plays."""


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the real data with one query in eight, and all models."""
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    folder = tmp_path_factory.mktemp("few")
    for path in DATA.glob("*.parquet"):
        table = pq.read_table(path)
        number = table["query_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        pq.write_table(table.filter(number % _ONE_IN == 0), folder / path.name)
    return folder


@pytest.fixture
def figures(few: Path, tmp_path: Path) -> Figures:
    def call(script: str, *options: str, data: Path = few) -> tuple[str, dict[str, Any]]:
        file = tmp_path / "figures.json"
        small = ("--data", str(data), "--queries", "60", "--seeds", "1", "--jobs", "1", "--json", str(file))
        done = run_module(f"simulations.{script}", *small, *options, folder=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, json.loads(file.read_text(encoding="utf-8"))

    return call
