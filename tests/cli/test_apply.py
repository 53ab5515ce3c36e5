"""Which commands apply settings: `serve` those that are new, `apply` any, and the others none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.services import write_settings

OTHER = {"BANDIT_ROUTER_REWARD__WEIGHTS": '{"error": 1.0}', "BANDIT_ROUTER_POSTERIOR__HALF_LIFE_S": "60"}
COMMANDS = (
    ("route", "Is 91 prime?"),
    ("arms", "list"),
    ("arms", "disable", "small"),
    ("calibration",),
    ("rebuild",),
    ("verify",),
)


@pytest.fixture
def config(tmp_path: Path, call: Run) -> Path:
    write_settings(tmp_path)
    assert call("route", "Is 91 prime?").code == 0
    return tmp_path / "router.toml"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_applies_no_settings(
    config: Path,
    call: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: tuple[str, ...],
) -> None:
    with monkeypatch.context() as environment:
        for name, value in OTHER.items():
            environment.setenv(name, value)
        call(*command)
    caplog.clear()
    assert call("apply", "-c", str(config)).code == 0
    assert "the settings change" not in caplog.text  # nothing had to be changed back


def test_apply_puts_settings_in_force_and_says_what_changes(
    config: Path, call: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BANDIT_ROUTER_POSTERIOR__HALF_LIFE_S", "60")
    ran = call("apply", "-c", str(config))
    assert ran.code == 0
    assert "in force for router 'default'" in ran.out
    assert "posterior.half_life_s: not set -> 60.0" in caplog.text
    caplog.clear()
    monkeypatch.delenv("BANDIT_ROUTER_POSTERIOR__HALF_LIFE_S")
    call("arms", "list")
    assert "would change posterior.half_life_s: 60.0 -> not set" in caplog.text
