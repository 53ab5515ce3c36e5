"""The README's code blocks do what it says, and it stays short."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.docs.code_blocks import README, ROOT, Reader

TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


def blocks(language: str, word: str) -> list[str]:
    matching = [text for kind, text in BLOCKS if kind == language and word in text]
    assert matching, f"the README has no {language} block with {word!r}"
    return matching


def test_the_python_example_runs_and_learns(tmp_path: Path) -> None:
    (code,) = blocks("python", "Router.open")
    reader = Reader(folder=tmp_path)
    first, last = reader.run_command([sys.executable, "-W", "error", "-c", code]).splitlines()
    assert re.fullmatch(r"gpt-4o(-mini)? with probability 0\.\d\d", first)
    counts, ok = last.rsplit(" ", 1)
    assert ok == "True"
    assert counts in ("{'large': 1, 'small': 0}", "{'large': 0, 'small': 1}")


def test_the_python_example_fits_twenty_lines() -> None:
    (code,) = blocks("python", "Router.open")
    assert len(code.strip().splitlines()) <= 20


def test_the_shell_example_routes_and_gives_feedback(tmp_path: Path) -> None:
    (script,) = blocks("sh", "bandit-router serve")
    out = Reader(folder=tmp_path).run_script(script)
    assert '"status":"ready"' in out
    assert '"outcomes":{"quality":"recorded","cost_usd":"recorded"}' in out
    assert '"metrics":{"cost_usd":0.0004,"quality":0.9}' in out.replace(" ", "")


def test_no_other_block_goes_untested() -> None:
    assert [kind for kind, _ in BLOCKS] == [
        "sh",
        "text",
        "python",
        "sh",
    ]  # make, its output, and the two above


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE))))
def test_the_make_targets_exist(target: str) -> None:
    Reader(folder=ROOT).run_command(["make", "--dry-run", target])


def test_it_is_read_in_a_minute() -> None:
    assert README.stat().st_size <= 7000


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#]+)", TEXT))))
def test_what_it_links_to_is_there(path: str) -> None:
    assert (ROOT / path).is_file()
