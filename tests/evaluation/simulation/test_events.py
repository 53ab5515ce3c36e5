"""What happens to a stream on the way."""

from __future__ import annotations

import numpy as np
import pytest

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.evaluation.simulation.events import Event, apply_events, parse_event
from tests.evaluation.simulation.streams import a_stream


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("price:gpt-4o@2500=0.1", Event("price", "gpt-4o", 2500, "0.1")),
        ("quality:a/b@c@7=x=y@z", Event("quality", "a/b@c@7=x", 0, "")),
        ("join:google/gemini-2.5@10", Event("join", "google/gemini-2.5", 10)),
        ("leave:a=b@0", Event("leave", "a=b", 0)),
    ],
)
def test_events_are_read_from_text(text: str, event: Event) -> None:
    if event.kind == "quality":  # an arm's name may hold "@"; the last "=" and the last "@" decide
        with pytest.raises(ConfigError):
            parse_event(text)
        assert parse_event("quality:a/b@c@7=x") == Event("quality", "a/b@c", 7, "x")
    else:
        assert parse_event(text) == event


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("burn:gpt-4o@3", "price:, quality:, join:, leave:"),
        ("price", "begin with one of"),
        ("price:gpt-4o@3", "=VALUE"),
        ("join:gpt-4o", "@2500"),
        ("join:gpt-4o@soon", "@2500"),
        ("leave:gpt-4o@-1", "@2500"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match="event") as caught:
        parse_event(text)
    assert says in str(caught.value)


def test_a_price_changes_what_calls_cost_and_what_they_are_expected_to() -> None:
    before = a_stream()
    after = apply_events(before, [parse_event("price:large@20=0.1")])
    for name in ("cost_usd", "expected_cost_usd"):
        old, new = getattr(before, name), getattr(after, name)
        np.testing.assert_array_equal(new[:20], old[:20])
        np.testing.assert_array_equal(new[20:, :2], old[20:, :2])
        np.testing.assert_allclose(new[20:, 2], 0.1 * old[20:, 2])
    assert after.quality is before.quality


def test_an_arm_degrades_to_another() -> None:
    before = a_stream()
    after = apply_events(before, [parse_event("quality:large@20=small")])
    np.testing.assert_array_equal(after.quality[20:, 2], before.quality[20:, 0])
    np.testing.assert_array_equal(after.quality[:20], before.quality[:20])
    np.testing.assert_array_equal(after.quality[:, :2], before.quality[:, :2])


def test_arms_join_and_leave() -> None:
    stream = apply_events(a_stream(), [parse_event("join:large@20"), parse_event("leave:small@40")])
    assert stream.eligible[:20].tolist() == [[True, True, False]] * 20
    assert stream.eligible[20:40].all()
    assert stream.eligible[40:].tolist() == [[False, True, True]] * 20


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("price:huge@1=2", InvalidInput, "'huge' is not in the data; use one of small, medium, large"),
        ("quality:large@1=huge", InvalidInput, "'huge' is not in the data"),
        ("leave:huge@1", InvalidInput, "event leave:huge@1: 'huge' is not in the data"),
        (
            "leave:large@60",
            InvalidInput,
            "event leave:large@60: would never happen; the stream has 60 queries",
        ),
        ("price:large@5000=2", InvalidInput, "event price:large@5000=2: would never happen"),
        ("price:large@1=cheap", ConfigError, "'cheap' is not a factor"),
        ("price:large@1=-1", ConfigError, "'-1' is not a factor"),
        ("price:large@1=nan", ConfigError, "'nan' is not a factor"),
    ],
)
def test_an_event_that_cannot_happen_is_refused(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        apply_events(a_stream(), [parse_event(text)])
    assert says in str(caught.value)


def test_a_stream_always_has_an_arm() -> None:
    gone = [parse_event(f"leave:{arm}@5") for arm in ("small", "medium", "large")]
    with pytest.raises(InvalidInput, match="no arm at query 5"):
        apply_events(a_stream(), gone)
