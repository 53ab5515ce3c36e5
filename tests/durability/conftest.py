"""A router.toml on the test's database, and a record of what callers were told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.durability.helpers import Acknowledgements, write_config

pytest.register_assert_rewrite("tests.durability.checks", "tests.durability.campaign")


@pytest.fixture
def config(url: str, tmp_path: Path) -> Path:
    """Settings on a migrated database, of each kind in turn."""
    return write_config(tmp_path, url)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Acknowledgements]:
    with closing(Acknowledgements(tmp_path / "told")) as told:
        yield told
