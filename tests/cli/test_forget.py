"""`forget`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def _settings(config: Path) -> None:
    del config


def test_a_user_is_forgotten_once_that_is_confirmed(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    routed = json.loads(call("route", "Is 91 prime?", "--user", "alice", "--json").out)
    call("feedback", routed["decision_id"], "quality=1")
    user = json.loads(call("explain", routed["decision_id"], "--json").out)["user"]
    assert f"user: {user}" in call("explain", routed["decision_id"]).out
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    assert call("forget", "--user", "alice").code == 1
    assert call("explain", routed["decision_id"]).code == 0
    assert "1 decision" in call("forget", "--user", "alice", "--yes").out
    assert "no decision" in call("explain", routed["decision_id"]).error
    assert "nothing is known" in call("forget", "--user", "alice", "--yes").out
    assert call("verify").code == 0
    audit = call("audit").out
    assert "user_forgotten" in audit
    assert "alice" not in audit
    assert user not in audit
