"""The memory of processes over time."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import psutil

_INTERVAL_S = 0.5
_FEWEST_LOOKS = 3
_SETTLED = 0.5
"""The share of the time after which a process has grown what it grows once: caches, pools, imports."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Seconds and resident MB of each process, a pair for each look at it."""

    looks: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def growth_mb(self, pid: int) -> tuple[float, float]:
        """MB that a process grew by in the last half of the time, by a straight line; and the seconds.

        Both are 0 for a process that was seen too few times for a line.
        """
        at, mb = np.array(self.looks[pid]).T
        late = at >= at[0] + _SETTLED * (at[-1] - at[0])
        if late.sum() < _FEWEST_LOOKS:
            return 0.0, 0.0
        slope = float(np.polyfit(at[late], mb[late], 1)[0])
        seconds = float(at[late][-1] - at[late][0])
        return slope * seconds, seconds


@contextmanager
def watch_memory(list_pids: Callable[[], list[int]]) -> Iterator[Memory]:
    """Look at the processes that there are, twice a second while the block lasts."""
    memory, stop, start = Memory(), threading.Event(), time.monotonic()

    def look() -> None:
        while not stop.wait(_INTERVAL_S):
            for pid in list_pids():
                try:
                    mb = psutil.Process(pid).memory_info().rss / 2**20
                except psutil.NoSuchProcess:
                    continue
                memory.looks[pid].append((time.monotonic() - start, mb))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()
