"""Numbers the tasks of data that has their names, as a router would that saw them in this order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bandit_router.types import NO_TASK, OTHER_TASKS, IntArray


class NumberedTasks(NamedTuple):
    """The number of each query's task (n,), NO_TASK where it has none; and the names in order of number."""

    numbers: IntArray
    names: tuple[str, ...]


def number_tasks(tasks: Iterable[str | None]) -> NumberedTasks:
    """Number tasks by first appearance; those beyond the bound share one number. "" and None are no task."""
    known: dict[str, int] = {}
    numbers = []
    for name in tasks:
        if not name:
            numbers.append(NO_TASK)
            continue
        if name not in known and len(known) < OTHER_TASKS:
            known[name] = len(known)
        numbers.append(known.get(name, OTHER_TASKS))
    return NumberedTasks(np.array(numbers, dtype=np.int64), tuple(known))
