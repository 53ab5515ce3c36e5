"""Every code block of the docs does what a reader would expect of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.databases import MakeUrl
from tests.docs.code_blocks import DOCS, POSTGRESQL, README, ROOT, Reader


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    for variable in [name for name in os.environ if name.upper().startswith("BANDIT_ROUTER_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    url = ""
    if POSTGRESQL in page.read_text(encoding="utf-8"):
        make: MakeUrl = request.getfixturevalue("make_postgresql_url")
        url = make()
    Reader(folder=tmp_path, postgresql_url=url).run_page(page)


def test_a_skipped_block_has_a_reason() -> None:
    skips = [
        line
        for page in (README, *DOCS)
        for line in re.findall(r"<!--+ *;? *skip:.*", page.read_text(encoding="utf-8"))
    ]
    assert all(re.fullmatch(r'<!-- skip: next "[^"]{10,}" -->', line) for line in skips), skips
