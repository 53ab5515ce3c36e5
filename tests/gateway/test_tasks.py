"""The task of a request through the gateway: named by the client, or by the system prompt and the tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from bandit_router.providers.scripted import Scene
from bandit_router.store.store import Store
from bandit_router.types import NO_TASK
from tests.features.prompt.test_sketch import INVOICES, SUPPORT, TRANSLATION
from tests.gateway.conftest import Gateway, arms_to, read_calls
from tests.services import serving

EDITS = (
    {"day": "Monday, 5 January 2026", "name": "ACME"},
    {"day": "Tuesday, 30 June 2026", "name": "ACME"},
    {"day": "2026-07-01T10:00:00Z", "name": "Globex"},
    {"day": "Friday", "name": "Alice Miller, who likes short answers"},
)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Gateway]]:
    """Two processes on one SQLite file, each with a server of its own."""
    folder, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    with arms_to(folder, {"small": Scene(pieces=("Yes.",))}) as (settings, upstreams):
        copy = other / settings.name
        copy.write_text(settings.read_text(encoding="utf-8"), encoding="utf-8")
        with serving(settings) as one, serving(copy) as two:
            yield Gateway(one, upstreams), Gateway(two, upstreams)


def chat(system: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    turns = [{"role": "system", "content": system}, {"role": "user", "content": "Hello"}]
    return "/v1/chat/completions", {"messages": turns, **fields}


def responses(system: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/responses", {"instructions": system, "input": "Hello", **fields}


def messages(system: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    turns = [{"role": "user", "content": "Hello"}]
    return "/v1/messages", {"system": system, "messages": turns, "max_tokens": 9, **fields}


def ask(gateway: Gateway, path: str, body: Mapping[str, Any], task: str | None = None) -> httpx.Response:
    url = f"{gateway.service.url}{path}"
    headers = {} if task is None else {"x-bandit-task": task}
    return httpx.post(url, json={"model": "auto", **body}, headers=headers, timeout=60)


def decision_of(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.headers["x-bandit-decision"])


def test_three_applications_are_three_tasks_for_every_worker(workers: tuple[Gateway, Gateway]) -> None:
    application: dict[str, int] = {}
    asked = 0
    for edit in EDITS:
        for k, text in enumerate((INVOICES, SUPPORT, TRANSLATION)):
            form = (chat, responses, messages)[asked % 3]
            response = ask(workers[asked // 3 % 2], *form(text.format(**edit)))
            application[decision_of(response)] = k
            asked += 1
    decided = [decision for decision, _ in read_calls(workers[0].service.database, asked)]
    assert Counter((application[decision.id], decision.task) for decision in decided) == {
        (0, 0): len(EDITS),
        (1, 1): len(EDITS),
        (2, 2): len(EDITS),
    }
    with closing(open_store(workers[0])) as store:
        assert [task.name.startswith("prompt-") for task in store.tasks()] == [True] * 3
        prompts = b"".join(task.name.encode() for task in store.tasks())
    for word in (b"invoice", b"customer", b"French"):
        assert word not in prompts


def test_what_a_client_names_counts_before_the_prompt(workers: tuple[Gateway, Gateway]) -> None:
    one, two = workers
    by_header = ask(one, *chat(SUPPORT), task="routing")
    by_metadata = ask(two, *chat(SUPPORT, metadata={"x-bandit-task": "routing"}))
    both = ask(one, *chat(SUPPORT, metadata={"x-bandit-task": "other"}), task="routing")
    plain = ask(two, "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]})
    with closing(open_store(one)) as store:
        named = next(task.number for task in store.tasks() if task.name == "routing")
        numbers = [store.decision(decision_of(each)).task for each in (by_header, by_metadata, both, plain)]
        assert numbers == [named, named, named, NO_TASK]
        assert "other" not in [task.name for task in store.tasks()]


@pytest.mark.parametrize(
    ("name", "problem"), [("x" * 201, "201 characters"), (" ", "empty"), ("a\tb", "control")]
)
def test_what_cannot_be_a_name_is_refused(workers: tuple[Gateway, Gateway], name: str, problem: str) -> None:
    response = ask(workers[0], *chat(SUPPORT, metadata={"x-bandit-task": name}))
    assert response.status_code == 400
    assert "task" in response.json()["error"]["message"]
    assert problem in response.json()["error"]["message"]


def open_store(gateway: Gateway) -> Store:
    database: Path = gateway.service.database
    return Store.open(f"sqlite:///{database}", "default", create=False)
