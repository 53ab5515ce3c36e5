"""Tasks as a worker knows them: the number of a name or of a prompt, mostly without the database."""

from __future__ import annotations

from bandit_router.features import Instructions, TaskSource
from bandit_router.features.prompt.sketch import name_sketch, sketch_instructions
from bandit_router.store.store import Store
from bandit_router.store.tasks import NewTask, TaskTable
from bandit_router.types import NO_TASK
from bandit_router.validation import read_task

_MOST_PROMPTS = 1_024


class TaskNumbers:
    """The numbers of a router's tasks. Thread-safe.

    A name that is not known is looked up in the database while there are numbers left to give, and not any
    more after that: a caller with ever new names slows nobody down.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_digest: dict[bytes, int] = {}
        self._table, self._revision = TaskTable(store.tasks()), 0

    def follow(self, revision: int) -> None:
        """Read the names that tasks have now, if any was given another one since."""
        if revision != self._revision:
            self._table, self._revision = TaskTable(self._store.tasks()), revision

    def find(self, source: TaskSource) -> int | None:
        """The number of a task; None if the database has to be asked."""
        if isinstance(source, str):
            return self._table.find(NewTask(source))
        digest = source.digest()
        number = self._by_digest.get(digest)
        if number is None:
            number = self._find_prompt(source)
            if number is not None:
                self._remember(digest, number)
        return number

    def number(self, source: TaskSource) -> int:
        """The number of a task, which it has from now on. Raises InvalidInput or StoreError."""
        new = NewTask(read_task("task", source)) if isinstance(source, str) else _name_prompt(source)
        self._table = self._store.number_task(new)
        number = self._table.find(new)
        assert number is not None, "it is numbered now, or there is no number left"
        return number

    def _find_prompt(self, instructions: Instructions) -> int | None:
        new = _name_prompt(instructions)
        return self._table.find(new) if new.sketch else NO_TASK

    def _remember(self, digest: bytes, number: int) -> None:
        if len(self._by_digest) >= _MOST_PROMPTS:
            self._by_digest = {}
        self._by_digest[digest] = number


def _name_prompt(instructions: Instructions) -> NewTask:
    sketch = sketch_instructions(instructions)
    return NewTask(name_sketch(sketch), sketch)
