"""A full disk: a limit on the size of files, for processes that run already or for one command line.

    python -m tests.durability.campaign.full_disk LIMIT COMMAND ...

A limit in bytes fails writes beyond it with EFBIG, in any file; a full disk would say ENOSPC.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services import run_module

_MODULE = "tests.durability.campaign.full_disk"


@contextmanager
def disk_full(pids: Sequence[int], limit: int) -> Iterator[None]:
    """No file of these processes can be written beyond ``limit`` bytes while the block lasts."""
    _set_limit(pids, limit)
    try:
        yield
    finally:
        lift_limit(pids)


def lift_limit(pids: Sequence[int]) -> None:
    """There is room again."""
    _set_limit(pids, resource.getrlimit(resource.RLIMIT_FSIZE)[0])


def _set_limit(pids: Sequence[int], soft: int) -> None:
    for pid in pids:
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def on_full_disk(limit: int) -> tuple[str, ...]:
    """What to put behind `python -m` for the command line on a full disk."""
    return (_MODULE, str(limit))


def run_on_full_disk(limit: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line on a full disk."""
    return run_module(*on_full_disk(limit), *map(str, arguments))


def require_refusal(outcome: subprocess.CompletedProcess[str]) -> None:
    """Raise AssertionError unless the command failed and said why in its own words."""
    said = outcome.stdout + outcome.stderr
    assert outcome.returncode == 1, said or "it went through"
    assert "error: " in said, said
    assert "Traceback" not in said, said


def smallest_file(database: Path) -> int:
    """The size of the SQLite file or of its log, whichever is smaller: both grow with every decision."""
    log = Path(f"{database}-wal")
    return min(path.stat().st_size if path.exists() else 0 for path in (database, log))


def _limit_all_but_output(limit: int) -> None:
    """Limit this process and those that it starts; what they say goes through one without the limit."""
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert cat.stdin is not None
    for stream in (sys.stdout, sys.stderr):
        os.dup2(cat.stdin.fileno(), stream.fileno())
    cat.stdin.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


if __name__ == "__main__":
    from bandit_router.cli import main

    _, bytes_, *sys.argv[1:] = sys.argv
    _limit_all_but_output(int(bytes_))
    main()
