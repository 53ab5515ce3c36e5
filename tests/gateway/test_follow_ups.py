"""What the next request says of an answer: planted follow-ups are found, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

import bandit_router
from bandit_router.gateway.dialects import DIALECTS
from bandit_router.gateway.exchange import Exchange, make_exchange
from bandit_router.gateway.follow_ups import FollowUps, ShownFaults
from bandit_router.providers.scripted import Scene
from bandit_router.router import Router
from tests.gateway.conftest import arms_to, read_calls

ASK: Any = {"role": "user", "content": "What is the weather in Köln?"}
SAY: Any = {"role": "assistant", "content": "It rains."}
AGAIN: Any = {"role": "user", "content": "And in Bonn?"}
DONE: Any = object()
"""What has been accounted already."""
EXPLICIT = {"x-bandit-conversation": "c"}

FAILED = [
    "Error: no such city",
    "  error code 500",
    "Traceback (most recent call last):\n  File",
    '{"error": {"code": 404}}',
    ' {"result": null, "isError": true}',
]
FINE = [
    "12 °C, no errors",
    '{"error": null, "celsius": 12}',
    '{"celsius": 12, "isError": false}',
    '["error"]',
    '{"error',
    "errors were found: 0",
    "",
]


def make_request(dialect: str, result: str, **mark: bool) -> dict[str, Any]:
    """A request that ends with what a tool gave back."""
    call: dict[str, Any]
    if dialect == "responses":
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
        output = {"type": "function_call_output", "call_id": "c", "output": result}
        return {"model": "auto", "input": [ASK, call, output]}
    if dialect == "messages":
        call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
        answer = {"type": "tool_result", "tool_use_id": "c", "content": result, **mark}
        turns = [ASK, {"role": "assistant", "content": [call]}, {"role": "user", "content": [answer]}]
        return {"model": "auto", "max_tokens": 9, "messages": turns}
    function = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [ASK, {"role": "assistant", "tool_calls": [function]}]
    return {"model": "auto", "messages": [*turns, {"role": "tool", "tool_call_id": "c", "content": result}]}


def read(dialect: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Exchange:
    return make_exchange(DIALECTS[dialect], json.dumps(body).encode(), headers or {}, ["small"])


def chat(*turns: Any, headers: dict[str, str] | None = None, **fields: Any) -> Exchange:
    return read("chat", {"model": "auto", "messages": list(turns), **fields}, headers)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("results", "failed"), [(FAILED, True), (FINE, False)], ids=["failed", "fine"])
def test_a_tool_result_that_says_it_failed(dialect: str, results: list[str], failed: bool) -> None:
    for result in results:
        assert read(dialect, make_request(dialect, result)).request.tool_failed is failed, result


@pytest.mark.parametrize("failed", [True, False])
def test_the_mark_of_a_result_counts_whatever_it_says(failed: bool) -> None:
    body = make_request("messages", "Error" if not failed else "fine", is_error=failed)
    assert read("messages", body).request.tool_failed is failed


def test_one_of_several_results_is_enough_and_earlier_ones_do_not_count() -> None:
    function = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    call = {"role": "assistant", "tool_calls": [function]}
    bad, good = ({"role": "tool", "tool_call_id": "c", "content": said} for said in ("Error", "12 °C"))
    assert chat(ASK, call, bad, good).request.tool_failed is True
    assert chat(ASK, call, bad, call, good).request.tool_failed is False
    assert chat(ASK, call, bad, SAY, AGAIN).request.tool_failed is None
    assert chat(ASK).request.tool_failed is None


FOLLOW_UPS = [
    (chat(ASK, headers=EXPLICIT), chat(ASK, headers=EXPLICIT), True),
    (chat(ASK, SAY, AGAIN), chat(ASK, SAY, AGAIN), True),
    (chat(ASK, SAY, AGAIN), chat(ASK, SAY, AGAIN, temperature=1.0), True),
    (chat(ASK, headers=EXPLICIT), chat(AGAIN, headers=EXPLICIT), False),
    (chat(ASK), chat(ASK), False),  # two clients may ask the same
    (chat(ASK), chat(ASK, SAY, AGAIN), False),
    (chat(ASK, SAY, AGAIN), chat(ASK, SAY, AGAIN, SAY, AGAIN), False),  # "go on", and "go on" again
    (chat(ASK, headers=EXPLICIT), chat(ASK, headers={"x-bandit-conversation": "d"}), False),
]


@pytest.mark.parametrize(("first", "second", "regenerated"), FOLLOW_UPS)
def test_the_same_last_message_again(first: Exchange, second: Exchange, regenerated: bool) -> None:
    follow_ups = FollowUps()
    follow_ups.note_answer(first, "1", DONE)
    expected = ShownFaults("1", {"regenerated": 1.0}, DONE)
    assert follow_ups.judge_answer(second) == (expected if regenerated else None)


def test_steps_of_a_tool_loop_are_not_asked_again() -> None:
    follow_ups = FollowUps()
    step = read("chat", make_request("chat", "12 °C"), EXPLICIT)
    follow_ups.note_answer(chat(ASK, headers=EXPLICIT), "1", DONE)
    assert follow_ups.judge_answer(step) is None
    follow_ups.note_answer(step, "2", DONE)
    failed = read("chat", make_request("chat", "Error"), EXPLICIT)
    assert follow_ups.judge_answer(failed) == ShownFaults("2", {"tool_error": 1.0}, DONE)


def test_only_the_newest_conversations_are_remembered() -> None:
    follow_ups = FollowUps(most=2)
    asked = [chat(ASK, headers={"x-bandit-conversation": str(i)}) for i in range(3)]
    for i, exchange in enumerate(asked):
        follow_ups.note_answer(exchange, str(i), DONE)
    assert [follow_ups.judge_answer(exchange) is not None for exchange in asked] == [False, True, True]


def test_the_answer_before_gets_what_its_follow_up_shows(tmp_path: Path) -> None:
    call = Scene(tool=("f", "{}"), finish="tool")
    with arms_to(tmp_path, {"cheap": call, "dear": call}) as (settings, _):
        with bandit_router.http_client(settings) as client:
            ids = [
                ask(client, {"model": "auto", "messages": [ASK]}),
                ask(client, {"model": "auto", "messages": [ASK]}),
                ask(client, make_request("chat", "Error: no such city")),
            ]
        read_calls(tmp_path / "router.db", 3)
        with Router.open(settings) as router:
            metrics = [router.metrics(id) for id in ids]
    names = ("tool_error", "regenerated", "abandoned")
    assert [[each[name] for name in names] for each in metrics] == [
        [0.0, 1.0, 0.0],
        [1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
    ]


def ask(client: httpx2.Client, body: dict[str, Any]) -> str:
    answer = client.post("/v1/chat/completions", json=body, headers=EXPLICIT).raise_for_status()
    return answer.headers["x-bandit-decision"]
