"""The file of verdicts: what was paid for is never asked again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bandit_router.errors import ConfigError
from bandit_router.gateway.judge.comparisons import JudgeTask, Verdict
from bandit_router.gateway.own_run import RunFile, open_run_file


class VerdictFile:
    """An open file of verdicts. ``verdicts`` are those in it, by key."""

    def __init__(self, file: RunFile, verdicts: dict[str, Verdict]) -> None:
        self.run = file.run
        self.verdicts = verdicts
        self._file = file

    def append(self, task: JudgeTask, verdict: Verdict, cost_usd: float) -> None:
        """Add a verdict; it is on disk when this returns."""
        line = {"key": task.key, "query": task.row, "arms": task.arms, "verdict": verdict}
        self._file.append({**line, "cost_usd": cost_usd})
        self.verdicts[task.key] = verdict


@contextmanager
def open_verdicts(path: Path, run: str | None = None) -> Iterator[VerdictFile]:
    """Open the file, or begin it with this run, or a new one. Raises ConfigError."""
    with open_run_file(path, "verdicts", run) as file:
        try:
            verdicts = {str(line["key"]): line["verdict"] for line in file.lines}
        except (LookupError, TypeError):
            raise ConfigError(f"{path}: is not a file of verdicts; name another --out") from None
        yield VerdictFile(file, verdicts)
