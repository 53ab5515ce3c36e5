"""Questions: texts of a URL or a command become what is read, or an error that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.insight.question import parse_question
from bandit_router.insight.stats import format_hour
from bandit_router.insight.table import Dimension
from bandit_router.store.rollups.tally import Cube

NOW = 1_764_466_200.0
"""2025-11-30 01:30 UTC."""


def read(**texts: Any) -> tuple[str, str, int, Cube]:
    rollups = parse_question(NOW, **texts).rollups
    return format_hour(rollups.since), format_hour(rollups.until), rollups.step, rollups.cube


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, ("2025-11-23T00:00Z", "2025-12-01T00:00Z", 24, Cube.DAY)),
        ({"since": "6h"}, ("2025-11-29T20:00Z", "2025-11-30T02:00Z", 1, Cube.HOUR)),
        ({"since": "2d", "step": "day"}, ("2025-11-28T00:00Z", "2025-12-01T00:00Z", 24, Cube.DAY)),
        ({"since": "52w"}, ("2024-12-01T00:00Z", "2025-12-01T00:00Z", 168, Cube.DAY)),
        (
            {"since": "2025-11-01", "until": "2025-11-02T06:00"},
            ("2025-11-01T00:00Z", "2025-11-02T06:00Z", 1, Cube.HOUR),
        ),
        (
            {"since": "2025-11-01T02:00+02:00", "until": "2025-11-01T12:00Z"},
            ("2025-11-01T00:00Z", "2025-11-01T12:00Z", 1, Cube.HOUR),
        ),
        ({"since": "6h", "tier": "free"}, ("2025-11-29T00:00Z", "2025-12-01T00:00Z", 24, Cube.TIER)),
        ({"since": "6h", "by": "key,time"}, ("2025-11-29T00:00Z", "2025-12-01T00:00Z", 24, Cube.KEY)),
    ],
)
def test_a_span_of_time_is_read_in_steps_that_fit(texts: dict[str, str], expected: tuple[Any, ...]) -> None:
    assert read(**texts) == expected


def test_an_empty_field_of_a_form_is_as_good_as_none() -> None:
    assert (
        read(since="", until="", step="", by="", tier="", key="", task="", arms=[""], reasons=[""]) == read()
    )


def test_what_is_told_apart() -> None:
    assert parse_question(NOW).by == {Dimension.ARM}
    asked = parse_question(NOW, by=" time, reason ,tier", arms=["small"], reasons=["policy"])
    assert asked.by == {Dimension.TIME, Dimension.REASON, Dimension.MEMBER}
    assert (asked.rollups.split_by, asked.rollups.arms, asked.rollups.reasons) == (
        Cube.TIER,
        ("small",),
        ("policy",),
    )


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "0d"}, "since"),
        ({"since": "2025-12-24"}, "since"),
        ({"until": "7d"}, "until"),
        ({"since": "2025-11-02", "until": "2025-11-01"}, "since"),
        ({"step": "minute"}, "step"),
        ({"step": "hour", "key": "k"}, "step"),
        ({"by": "model"}, "by"),
        ({"by": "tier,key"}, "by"),
        ({"by": "tier", "key": "k"}, "by"),
        ({"tier": "free", "key": "k"}, "key"),
        ({"tier": "a\0b"}, "tier"),
        ({"arms": ["\0"]}, "arm"),
    ],
)
def test_what_cannot_be_asked_names_the_field(texts: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_question(NOW, **texts)
    assert refused.value.field.startswith(field)


def test_times_at_the_ends_of_the_calendar_are_no_error() -> None:
    assert read(since="0001-01-01", until="9999-12-31T23:59")[0] == "1970-01-01T00:00Z"
