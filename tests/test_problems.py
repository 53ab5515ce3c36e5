"""An error that goes over HTTP arrives as what it was."""

from __future__ import annotations

import json

import pytest

from bandit_router import errors
from bandit_router.errors import RouterError
from bandit_router.problems import KINDS, UNAVAILABLE, ErrorKind, find_kind, rebuild_error
from bandit_router.server.problems import answer_error
from tests.test_errors import EXAMPLES

EXPECTED = [kind for kind in KINDS if kind is not UNAVAILABLE]


def make_error(kind: ErrorKind) -> RouterError:
    return EXAMPLES.get(kind.error.__name__) or kind.error("what is wrong")


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.code)
def test_every_error_is_rebuilt_with_its_message_and_members(kind: ErrorKind) -> None:
    error = make_error(kind)
    response = answer_error(error)
    assert response.status_code == kind.status
    again = rebuild_error(json.loads(bytes(response.body)))
    assert type(again) is kind.error
    assert (str(again), vars(again)) == (str(error), vars(error))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_no_kind_hides_another(kind: ErrorKind) -> None:
    found = find_kind(make_error(kind))
    assert found is not None
    assert found.error is kind.error


def test_codes_are_distinct() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)


def test_an_error_that_names_paths_arrives_without_its_message() -> None:
    response = answer_error(errors.SnapshotCorrupt("/var/lib/router.db is damaged"))
    again = rebuild_error(json.loads(bytes(response.body)))
    assert type(again) is errors.StoreError
    assert "/var" not in str(again)


@pytest.mark.parametrize(
    "problem",
    [
        {},
        {"code": "no_such_code", "detail": "a"},
        {"code": "unknown_decision", "detail": "without its id"},
        {"code": "overloaded"},
        {"code": ["overloaded"], "detail": "a"},
    ],
)
def test_what_is_no_problem_of_ours_is_no_error(problem: dict[str, object]) -> None:
    assert rebuild_error(problem) is None
