"""The folder in which all workers keep their counters, so that any of them can answer for all.

prometheus-client reads its name from the environment when it is first imported.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def clear_folder() -> None:
    """Delete what a service of before left in the folder that the environment names, if it names one."""
    named = os.environ.get(VARIABLE)
    if named:
        Path(named).mkdir(parents=True, exist_ok=True)
        for old in Path(named).glob("*.db"):
            old.unlink()


@contextmanager
def shared_folder() -> Iterator[None]:
    """A folder for the processes that are started in the block: a new one if the environment names none."""
    if VARIABLE in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="bandit-router-metrics-") as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]
