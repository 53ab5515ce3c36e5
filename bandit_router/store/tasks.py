"""Tasks: the few that a router learns apart, numbered by the database in the order of their appearance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from bandit_router.errors import InvalidInput
from bandit_router.features.prompt.sketch import Sketch, SketchIndex, pack_sketch, unpack_sketch
from bandit_router.store.engine import INSERT
from bandit_router.store.rollups.reader import RollupFilter, RollupRow, read_rollups
from bandit_router.store.tables import routers, tasks
from bandit_router.types import OTHER_TASKS, TASKS_APART

OTHER_NAME = "other tasks"
"""What the tasks are called that share a number."""

_NO_MEMBER = ""

_INSERT = {
    name: into(tasks).on_conflict_do_nothing().returning(tasks.c.number) for name, into in INSERT.items()
}
"""A number or a name that another worker gives at once conflicts, and nothing is returned."""


class NewTask(NamedTuple):
    """A task that may not be numbered yet; with a ``sketch`` it is named by a prompt, not by a caller."""

    name: str
    sketch: Sketch = ()


class Task(NamedTuple):
    """A task that is learned apart. ``first_seen_at`` is Unix time, seconds."""

    number: int
    name: str
    sketch: Sketch
    first_seen_at: float


def read_tasks(connection: Connection, router: str) -> list[Task]:
    """The tasks of a router, in the order of their numbers."""
    columns = tasks.c.number, tasks.c.name, tasks.c.sketch, tasks.c.first_seen_at
    rows = connection.execute(select(*columns).where(tasks.c.router == router).order_by(tasks.c.number))
    return [
        Task(number, name, () if sketch is None else unpack_sketch(sketch), at)
        for number, name, sketch, at in rows
    ]


def describe_task(numbered: Sequence[Task], number: int) -> str | None:
    """The name of a task as people read it; None for no task."""
    if number == OTHER_TASKS:
        return OTHER_NAME
    return next((task.name for task in numbered if task.number == number), None)


class TaskTable:
    """What is known of a router's tasks at one moment."""

    def __init__(self, numbered: Sequence[Task]) -> None:
        self.numbers = {task.name: task.number for task in numbered}
        self.is_full = len(numbered) >= TASKS_APART
        self._prompts = SketchIndex()
        for task in numbered:
            self._prompts.add(task.number, task.sketch)

    def find(self, new: NewTask) -> int | None:
        """The number of a task; None if it has none yet and there is one to give."""
        if new.name == OTHER_NAME:
            return OTHER_TASKS
        number = self._prompts.find_near(new.sketch) if new.sketch else self.numbers.get(new.name)
        return OTHER_TASKS if number is None and self.is_full else number


def number_task(connection: Connection, router: str, new: NewTask, now: float) -> TaskTable:
    """The tasks of a router, with the new one among them unless all numbers are given.

    Two workers may number tasks at once: the one that comes second reads again what the first has written.
    """
    while True:
        table = TaskTable(read_tasks(connection, router))
        if table.find(new) is not None:
            return table
        number = len(table.numbers)
        row = {
            "router": router,
            "number": number,
            "name": f"{new.name}-{number}" if new.name in table.numbers else new.name,
            "sketch": pack_sketch(new.sketch) if new.sketch else None,
            "first_seen_at": now,
        }
        connection.execute(_INSERT[connection.dialect.name], row).all()


def read_task_rollups(
    connection: Connection, router: str, asked: RollupFilter, renamed: dict[str, str]
) -> list[RollupRow]:
    """As :func:`read_rollups` of the cube of tasks, whose members are numbers there, and names here."""
    numbered = read_tasks(connection, router)
    if asked.task is not None:
        names = {OTHER_NAME: str(OTHER_TASKS), **{task.name: str(task.number) for task in numbered}}
        asked = replace(asked, task=names.get(asked.task, _NO_MEMBER))
    rows = read_rollups(connection, router, asked, renamed)
    return [replace(row, member=describe_task(numbered, int(row.member)) or row.member) for row in rows]


def rename_task(connection: Connection, router: str, old: str, new: str) -> None:
    """Let a task have another name, by which callers may name it from now on. Raises InvalidInput."""
    if new == OTHER_NAME:
        raise InvalidInput("new", f"{new!r} are all further ones", "give another name")
    mine = tasks.c.router == router
    try:
        renamed = connection.execute(update(tasks).where(mine, tasks.c.name == old).values(name=new))
    except IntegrityError:
        raise InvalidInput("new", f"{new!r} is a task already", "give another name") from None
    if not renamed.rowcount:
        raise InvalidInput("old", f"{old!r} is no task", "`bandit-router tasks list` lists them")
    revision = routers.c.tasks_revision + 1
    connection.execute(update(routers).where(routers.c.name == router).values(tasks_revision=revision))
