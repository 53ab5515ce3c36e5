"""Tasks are numbered by the database: one number for a name, whoever names it first."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from bandit_router.errors import InvalidInput
from bandit_router.features import Instructions
from bandit_router.features.prompt.sketch import name_sketch, sketch_instructions
from bandit_router.store import tasks
from bandit_router.store.engine import INSERT
from bandit_router.store.store import Store
from bandit_router.store.tables import tasks as table
from bandit_router.store.tasks import OTHER_NAME, NewTask, Task
from bandit_router.types import OTHER_TASKS, TASKS_APART
from tests.store.examples import OpenStore, together

PROMPT = (
    "You extract the number, the date and the total of an invoice, and answer in JSON. You work for {}, a "
    "company that gets hundreds of invoices a day in every form."
)


def named_by_prompt(name: str) -> NewTask:
    sketch = sketch_instructions(Instructions((PROMPT.format(name),)))
    return NewTask(name_sketch(sketch), sketch)


def number(store: Store, new: NewTask) -> int | None:
    return store.number_task(new).find(new)


def assert_one_number_each(store: Store, numbers: dict[str, int | None]) -> None:
    """What workers were told is what the table says, and no number is two tasks'."""
    stored = {task.name: task.number for task in store.tasks()}
    assert numbers == stored
    assert sorted(stored.values()) == list(range(len(stored)))


def test_names_are_numbered_in_the_order_of_their_first_appearance(store: Store) -> None:
    assert [number(store, NewTask(name)) for name in ("b", "a", "b", "c")] == [0, 1, 0, 2]
    assert [task.name for task in store.tasks()] == ["b", "a", "c"]
    with store.read_log() as log:
        assert log.tasks() == store.tasks()


def test_numbers_are_a_routers_own(open_store: OpenStore) -> None:
    one, other = open_store(), open_store("other")
    number(one, NewTask("a"))
    assert number(other, NewTask("b")) == 0


def test_further_names_share_a_number_and_add_no_row(store: Store) -> None:
    for i in range(TASKS_APART):
        assert number(store, NewTask(f"task {i}")) == i
    assert number(store, NewTask("one more")) == number(store, named_by_prompt("ACME")) == OTHER_TASKS
    assert len(store.tasks()) == TASKS_APART
    assert number(store, NewTask("task 63")) == 63


def test_nobody_takes_the_name_of_the_others(store: Store) -> None:
    assert number(store, NewTask(OTHER_NAME)) == OTHER_TASKS
    assert store.tasks() == []


def test_workers_that_name_tasks_at_once_get_the_same_numbers(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    names = ["a", "b", "c", "a", "b", "c", "d", "e"]
    calls = [partial(number, stores[i % 4], NewTask(name)) for i, name in enumerate(names)]
    told: dict[str, int | None] = {}
    for name, given in zip(names, together(*calls), strict=True):
        assert told.setdefault(name, given) == given
    assert_one_number_each(stores[0], told)


def number_after_a_stale_read(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch, new: tuple[NewTask, NewTask]
) -> dict[str, int | None]:
    """One worker reads the table, another numbers its task, and the first goes on from what it read."""
    read, stale = tasks.read_tasks, [[*store.tasks()]]

    def read_late(connection: Connection, router: str) -> list[Task]:
        return stale.pop() if stale else read(connection, router)

    second = number(other, new[1])
    monkeypatch.setattr(tasks, "read_tasks", read_late)
    first = number(store, new[0])
    monkeypatch.undo()
    assert not stale
    return {new[0].name: first, new[1].name: second}


def test_a_worker_that_comes_second_takes_the_next_number(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(), open_store()
    told = number_after_a_stale_read(store, other, monkeypatch, (NewTask("a"), NewTask("b")))
    assert told == {"a": 1, "b": 0}
    assert_one_number_each(store, told)


def test_that_worker_would_be_noticed_if_it_overwrote_what_is_there(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(), open_store()
    dialect = store._engine.dialect.name
    insert: Any = INSERT[dialect](table)
    careless = insert.on_conflict_do_update(
        index_elements=["router", "number"], set_={"name": insert.excluded.name}
    )
    monkeypatch.setitem(tasks._INSERT, dialect, careless.returning(table.c.number))
    with monkeypatch.context() as patch:
        told = number_after_a_stale_read(store, other, patch, (NewTask("a"), NewTask("b")))
    with pytest.raises(AssertionError):
        assert_one_number_each(store, told)


def test_near_duplicates_that_come_at_once_are_one_task(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(), open_store()
    one, two = named_by_prompt("ACME"), named_by_prompt("Globex")
    assert one != two
    told = number_after_a_stale_read(store, other, monkeypatch, (one, two))
    assert told == {one.name: 0, two.name: 0}
    assert [task.name for task in store.tasks()] == [two.name]


def test_a_prompt_whose_name_is_another_tasks_gets_one_of_its_own(store: Store) -> None:
    prompt = named_by_prompt("ACME")
    number(store, NewTask(prompt.name))
    assert number(store, prompt) == 1
    assert len({task.name for task in store.tasks()}) == 2


def test_a_renamed_task_keeps_its_number(store: Store) -> None:
    prompt = named_by_prompt("ACME")
    number(store, prompt)
    number(store, NewTask("other"))
    before = store.head()
    store.rename_task(prompt.name, "invoices")
    assert number(store, prompt) == number(store, NewTask("invoices")) == 0
    after = store.head()
    assert before is not None
    assert after is not None
    assert after.tasks_revision == before.tasks_revision + 1
    assert (store.acts(1)[0].kind, store.acts(1)[0].subject) == ("task_renamed", "invoices")


@pytest.mark.parametrize(
    ("old", "new", "field"), [("none", "x", "old"), ("a", "b", "new"), ("a", OTHER_NAME, "new")]
)
def test_a_name_must_be_a_tasks_and_the_new_one_nobodys(store: Store, old: str, new: str, field: str) -> None:
    number(store, NewTask("a"))
    number(store, NewTask("b"))
    with pytest.raises(InvalidInput, match=field):
        store.rename_task(old, new)
    assert [task.name for task in store.tasks()] == ["a", "b"]
