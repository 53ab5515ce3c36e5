"""What other parsers let pass is refused with a 4xx problem, never accepted and never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.server.conftest import Client, assert_problem

HUGE = "1" + "0" * 400
NOT_FINITE = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", HUGE, f"-{HUGE}"]
NOT_A_NUMBER = ['"1"', "true", "false", "[]", "{}"]
WITH_EXTRA = '{"messages": [{"role": "user", "content": "a", "extra": EXTRA}]}'
UNFIT_STRINGS = {"lone surrogate": r"\ud800", "reversed pair": r"\udc00\ud800", "NUL": r"\u0000"}

FOURTEEN = ["0"] * 14


def numbers() -> Iterator[tuple[str, str, str]]:
    """Path, body with ``%s`` for a number, the field the problem must name."""
    yield "/v1/route", '{"query": "x", "cost_weight": %s}', "cost_weight"
    yield "/v1/route", '{"features": [' + ",".join([*FOURTEEN, "%s"]) + "]}", "features[14]"
    yield "/v1/feedback", '{"decision_id": "x", "metrics": {"quality": %s}}', "metrics.quality"
    yield "/v1/feedback", '{"decision_id": "x", "metrics": {"latency_s": %s}}', "metrics.latency_s"


NUMBERS = list(numbers())
SHARES = ["metrics.quality"]
"""Fields in which true and false are 1 and 0."""


@pytest.mark.parametrize("value", [*NOT_FINITE, *NOT_A_NUMBER])
@pytest.mark.parametrize(("path", "body", "field"), NUMBERS, ids=[field for *_, field in NUMBERS])
def test_only_finite_json_numbers_are_numbers(
    client: Client, path: str, body: str, field: str, value: str
) -> None:
    response = client.send_raw(path, body % value)
    if field in SHARES and value in ("true", "false"):
        assert_problem(response, 404)  # no such decision: the metrics are right
    else:
        assert_problem(response, 422, field=field)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_numbers_are_finite_even_where_nothing_reads_them(client: Client, value: str) -> None:
    response = client.send_raw("/v1/route", WITH_EXTRA.replace("EXTRA", f"[{value}]"))
    assert_problem(response, 422, field="messages[0].extra[0]")


def test_more_digits_than_python_reads_are_refused(client: Client) -> None:
    body = '{"query": "x", "cost_weight": %s}' % ("1" * 5000)
    assert_problem(client.send_raw("/v1/route", body), 400)


ROUTE_TEXTS = {
    "query": ('{"query": "a%s"}', "query"),
    "user_tier": ('{"query": "a", "user_tier": "%s"}', "user_tier"),
    "conversation": ('{"query": "a", "conversation": "%s"}', "conversation"),
    "arms": ('{"query": "a", "arms": ["small", "%s"]}', "arms[1]"),
    "require": ('{"query": "a", "require": ["%s"]}', "require[0]"),
    "role": (
        '{"messages": [{"role": "%s", "content": "a"}, {"role": "user", "content": "a"}]}',
        "messages[0].role",
    ),
    "content": ('{"messages": [{"role": "user", "content": "a%s"}]}', "messages[0].content"),
    "older content": (
        '{"messages": [{"role": "system", "content": "%s"}, {"role": "user", "content": "a"}]}',
        "messages[0].content",
    ),
    "part": (
        '{"messages": [{"role": "user", "content": [{"type": "text", "text": "a%s"}]}]}',
        "messages[0].content[0].text",
    ),
    "extra": ('{"messages": [{"role": "user", "content": "a", "name": "%s"}]}', "messages[0].name"),
    "key in a message": ('{"messages": [{"role": "user", "content": "a", "%s": 1}]}', "messages[0]"),
    "key": ('{"query": "a", "%s": 1}', "body"),
}
FEEDBACK_TEXTS = {
    "decision_id": ('{"decision_id": "%s", "metrics": {"quality": 1}}', "decision_id"),
    "metric": ('{"decision_id": "a", "metrics": {"%s": 1}}', "metrics"),
    "key": ('{"decision_id": "a", "metrics": {"quality": 1}, "%s": 1}', "body"),
}


@pytest.mark.parametrize("unfit", UNFIT_STRINGS.values(), ids=UNFIT_STRINGS)
@pytest.mark.parametrize(("body", "field"), ROUTE_TEXTS.values(), ids=ROUTE_TEXTS)
def test_route_refuses_text_that_cannot_be_stored(client: Client, body: str, field: str, unfit: str) -> None:
    assert_problem(client.send_raw("/v1/route", body % unfit), 422, field=field)


@pytest.mark.parametrize("unfit", UNFIT_STRINGS.values(), ids=UNFIT_STRINGS)
@pytest.mark.parametrize(("body", "field"), FEEDBACK_TEXTS.values(), ids=FEEDBACK_TEXTS)
def test_feedback_refuses_text_that_cannot_be_stored(
    client: Client, body: str, field: str, unfit: str
) -> None:
    assert_problem(client.send_raw("/v1/feedback", body % unfit), 422, field=field)


def test_escaped_characters_that_make_sense_are_welcome(client: Client) -> None:
    body = r'{"query": "\ud83d\ude00 \\u0000 \\ud800 \" [{[{[{[{[{[{[{[{[{[{[{[{[{[{[{[{[{ \n"}'
    assert client.send_raw("/v1/route", body).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/route", {"query": "a", "temperature": 1}, "temperature"),
        ("/v1/route", {"query": "a", "Query": "b"}, "Query"),
        ("/v1/route", {"query": "a", "idempotency_key": "k"}, "idempotency_key"),
        ("/v1/route", {"query": 5}, "query"),
        ("/v1/route", {"query": ["a"]}, "query"),
        ("/v1/route", {"query": ""}, "query"),
        ("/v1/route", {"query": "a", "require": "tools"}, "require"),
        ("/v1/route", {"query": "a", "require": [1]}, "require[0]"),
        ("/v1/route", {"query": "a", "arms": {"small": 1}}, "arms"),
        ("/v1/route", {"query": "a", "conversation": 5}, "conversation"),
        ("/v1/route", {"query": "a", "user_tier": 5}, "user_tier"),
        ("/v1/route", {"messages": "a"}, "messages"),
        ("/v1/route", {"messages": []}, "messages"),
        ("/v1/route", {"messages": ["a"]}, "messages[0]"),
        ("/v1/route", {"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ("/v1/route", {"messages": [{"content": "a"}]}, "messages[0].role"),
        ("/v1/route", {"features": [0.0] * 14}, "features"),
        ("/v1/route", {"features": [0.0] * 17}, "features"),
        ("/v1/route", {"features": []}, "features"),
        ("/v1/route", {"features": 1.0}, "features"),
        ("/v1/route", {"features": [2e6, *[0.0] * 14]}, "features[0]"),
        ("/v1/route", {"query": "a", "cost_weight": -0.1}, "cost_weight"),
        ("/v1/route", {"query": "a", "cost_weight": 2e9}, "cost_weight"),
        ("/v1/route", {"query": "a", "deadline_s": 0}, "deadline_s"),
        ("/v1/route", {"query": "a", "deadline_s": "1"}, "deadline_s"),
        ("/v1/route", {"query": "a", "deadline_s": 1, "deadline_level": 1}, "deadline_level"),
        ("/v1/route", {"query": "a", "deadline_level": 0.9}, "deadline_level"),
        ("/v1/feedback", {"decision_id": "a", "metrics": {"quality": 1}, "score": 1}, "score"),
        ("/v1/feedback", {"decision_id": "a"}, "metrics"),
        ("/v1/feedback", {"metrics": {"quality": 1}}, "decision_id"),
        ("/v1/feedback", {"decision_id": 5, "metrics": {"quality": 1}}, "decision_id"),
        ("/v1/feedback", {"decision_id": "a", "metrics": {}}, "metrics"),
        ("/v1/feedback", {"decision_id": "a", "metrics": [["quality", 1]]}, "metrics"),
        ("/v1/feedback", {"decision_id": "a", "metrics": {"score": 1}}, "metrics.score"),
        ("/v1/feedback", {"decision_id": "a", "metrics": {"quality": 1.1}}, "metrics.quality"),
        ("/v1/feedback", {"decision_id": "a", "metrics": {"quality": -0.1}}, "metrics.quality"),
    ],
)
def test_a_wrong_field_is_named(client: Client, path: str, body: dict[str, object], field: str) -> None:
    assert_problem(client.send_raw(path, json.dumps(body)), 422, field=field)


@pytest.mark.parametrize("sources", [{}, {"query": "a", "features": [0.0] * 15}, {"query": None}])
def test_a_query_has_exactly_one_source(client: Client, sources: dict[str, object]) -> None:
    content = assert_problem(client.send_raw("/v1/route", json.dumps(sources)), 422)
    assert "exactly one of query, messages, input, request and features" in content["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_tier", "x" * 256),
        ("conversation", "x" * 256),
        ("require", ["x"] * 257),
        ("require[0]", ["x" * 129]),
        ("arms", ["small"] * 257),
        ("arms[0]", ["x" * 129]),
    ],
)
def test_texts_and_lists_have_a_bound(client: Client, field: str, value: object) -> None:
    response = client.route(query="a", **{field.partition("[")[0]: value})
    assert_problem(response, 422, field=field)
    assert len(response.content) < 1000


@pytest.mark.parametrize(
    "body",
    [
        '{"query": "a", "query": "a"}',
        '{"query": "a", "quer\\u0079": "b"}',
        '{"messages": [{"role": "user", "content": "a", "role": "user"}]}',
        '{"messages": [{"role": "user", "content": "a", "x": [{"k": {"role": 1, "role": 2}}]}]}',
    ],
)
def test_a_key_that_is_given_twice_is_refused(client: Client, body: str) -> None:
    content = assert_problem(client.send_raw("/v1/route", body), 400)
    assert "twice" in content["detail"]
    assert "role" in content["detail"] or "query" in content["detail"]


@pytest.mark.parametrize("levels", [33, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_nesting_is_refused(client: Client, levels: int, opening: str, closed: bool) -> None:
    levels = min(levels, 250_000 // (len(opening) + closed))
    closing = {"[": "]", '{"a":': "}"}[opening] if closed else ""
    body = opening * levels + ("1" + closing * levels if closed else "")
    content = assert_problem(client.send_raw("/v1/route", body), 400)
    assert "nested more than 32 deep" in content["detail"]


def test_thirty_two_levels_are_deep_enough_and_allowed(client: Client) -> None:
    extra = "[" * 29 + "]" * 29
    assert client.send_raw("/v1/route", WITH_EXTRA.replace("EXTRA", extra)).status_code == 200
    assert_problem(client.send_raw("/v1/route", WITH_EXTRA.replace("EXTRA", f"[{extra}]")), 400)


def test_brackets_in_a_text_are_not_nesting(client: Client) -> None:
    assert client.route(query="[" * 1000 + '\\"{' * 1000).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        "[" * 33 + '\\"' * 131_000,  # strings that never close
        "{" + ",".join(f'"{i}":0' for i in range(26_000)) + ',"z":0,"z":0}',  # the last key twice
        "{" + ",".join(f'"{i}":0' for i in range(26_000)) + "}",  # that many unknown fields
        '{"features": [' + ",".join(['""'] * 85_000) + "]}",  # that many wrong numbers
        "[" + ",".join(["9" * 4300] * 60) + "]",  # numbers that are slow to read
        '{"query": "' + "\\u0041" * 43_000 + '"}',
    ],
    ids=["open strings", "last key twice", "unknown fields", "wrong numbers", "long numbers", "escapes"],
)
def test_no_body_within_the_limit_keeps_the_service_busy(client: Client, body: str) -> None:
    # With work quadratic in the body any of the first three takes the service minutes, and this times out.
    response = client.send_raw("/v1/route", body)
    assert response.status_code < 500
    assert len(response.content) < 10_000


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b" ", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"query"', "not a JSON object"),
        (b"{", "not JSON"),
        (b'{"query": "a"} {}', "not JSON"),
        (b'{"query": "a",}', "not JSON"),
        (b"{'query': 'a'}", "not JSON"),
        (b'{"query": "a" /* b */}', "not JSON"),
        (b'{"query": "a\x00"}', "not JSON"),
        (b'{"query": "a\nb"}', "not JSON"),
        (b'\xef\xbb\xbf{"query": "a"}', "not JSON"),
        (b'{"query": "\xff"}', "not UTF-8"),
        (b'{"query": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"query": "\xc0\x80"}', "not UTF-8"),
        ('{"query": "a"}'.encode("utf-16"), "not UTF-8"),
        (b'{"query": "a", "cost_weight": 01}', "not JSON"),
        (b'{"query": "a", "cost_weight": 0x1}', "not JSON"),
        (b'{"query": "a", "cost_weight": +1}', "not JSON"),
        (b'{"query": "a", "cost_weight": .5}', "not JSON"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/route", "/v1/feedback"])
def test_what_is_not_one_json_object_is_refused(client: Client, path: str, body: bytes, says: str) -> None:
    assert says in assert_problem(client.send_raw(path, body), 400)["detail"]


LIMIT = 256 * 1024


def _padded(size: int) -> bytes:
    start, end = b'{"query": "', b'"}'
    return start + b"a" * (size - len(start) - len(end)) + end


def test_a_body_of_256_kib_is_read(client: Client) -> None:
    assert client.send_raw("/v1/route", _padded(LIMIT)).status_code == 200


def test_one_byte_more_is_too_large(client: Client) -> None:
    assert_problem(client.send_raw("/v1/route", _padded(LIMIT + 1)), 413)


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (20 * LIMIT, 413)])
def test_a_chunked_body_has_the_same_limit(client: Client, size: int, status: int) -> None:
    body = _padded(size)
    chunks = (body[i : i + 10_000] for i in range(0, size, 10_000))
    response = client.post("/v1/route", content=chunks, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    if status != 200:
        assert_problem(response, status)


def test_the_connection_is_still_good_after_a_body_that_is_too_large(client: Client) -> None:
    assert_problem(client.send_raw("/v1/feedback", _padded(4 * LIMIT)), 413)
    assert client.route().status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonl"]
)
def test_only_json_is_read(client: Client, content_type: str) -> None:
    response = client.post("/v1/route", content=b'{"query": "a"}', headers={"Content-Type": content_type})
    assert_problem(response, 415)


def test_a_body_without_a_content_type_is_refused(client: Client) -> None:
    assert_problem(client.post("/v1/route", content=b'{"query": "a"}'), 415)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
def test_a_content_type_may_have_parameters(client: Client, content_type: str) -> None:
    response = client.post("/v1/route", content=b'{"query": "a"}', headers={"Content-Type": content_type})
    assert response.status_code == 200
