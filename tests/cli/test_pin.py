"""`pin` and `unpin`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def _settings(config: Path) -> None:
    del config


def test_all_traffic_goes_to_the_arm_until_it_is_unpinned(call: Run) -> None:
    assert "all traffic goes to large until" in call("pin", "large", "--for", "2h").out
    for _ in range(3):
        routed = json.loads(call("route", "Is 91 prime?", "--json").out)
        assert (routed["arm"], routed["reason"]) == ("large", "pinned")
    assert "pinned to large until" in call("arms", "list").out
    assert "not pinned to large any more" in call("unpin").out
    assert json.loads(call("route", "Is 91 prime?", "--json").out)["reason"] == "policy"
    assert "nothing was pinned" in call("unpin").out
    kinds = [act["kind"] for act in json.loads(call("audit", "--json").out)]
    assert kinds == ["settings_applied", "traffic_pinned", "traffic_unpinned"]


@pytest.mark.parametrize(
    "words", [("gpt-9", "--for", "2h"), ("large", "--for", "ever"), ("large", "--for", "99d")]
)
def test_a_wrong_pin_is_one_line(call: Run, words: tuple[str, ...]) -> None:
    assert call("pin", *words).error
