"""`keys` and `audit`: a key is shown once, and everything that is done is on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bandit_router.security.keys import parse_credential
from bandit_router.store.acts import find_actor
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def _settings(config: Path) -> None:
    del config


def create(call: Run, *options: str) -> tuple[str, str]:
    """The id of a new key, and its credential."""
    made = call("keys", "create", "ci", "--scope", "route", *options)
    assert made.code == 0, made.err
    credential = parse_credential(made.out.strip())
    assert credential is not None
    return credential.key_id, made.out.strip()


def listed(call: Run) -> dict[str, dict[str, object]]:
    return {key["id"]: key for key in json.loads(call("keys", "list", "--json").out)}


def test_a_key_is_shown_once_and_then_only_described(call: Run) -> None:
    options = ("--scope", "read", "--arm", "small", "--expires", "30d", "--rate", "5", "--usd-per-day", "2")
    key_id, credential = create(call, *options)
    key = listed(call)[key_id]
    assert (key["name"], key["state"]) == ("ci", "active")
    assert (key["scopes"], key["arms"]) == (["read", "route"], ["small"])
    assert (key["requests_per_second"], key["burst"], key["usd_per_day"]) == (5.0, 5, 2.0)
    assert key["created_by"] == find_actor()
    assert key["expires_at"] - key["created_at"] == pytest.approx(30 * 86_400)  # type: ignore[operator]
    secret = credential.split("_", 2)[2]
    for words in (("list",), ("list", "--json")):
        assert secret not in call("keys", *words).out
    assert key_id in call("keys", "list").out


def test_a_rotated_key_is_shown_anew_and_a_revoked_one_is_listed_as_such(call: Run) -> None:
    key_id, credential = create(call)
    rotated = json.loads(call("keys", "rotate", key_id, "--grace", "1h", "--json").out)
    assert rotated["id"] == key_id
    assert rotated["api_key"] != credential
    assert listed(call)[key_id]["former_until"] is not None
    assert call("keys", "revoke", key_id).code == 0
    assert listed(call)[key_id]["state"] == "revoked"
    assert "revoked already" in call("keys", "revoke", key_id).error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create", "ci", "--scope", "write"), "scope: 'write' is not a scope"),
        (("create", "ci", "--scope", "route", "--arm", "gpt-9"), "arm: 'gpt-9' is not an arm"),
        (("create", "ci", "--scope", "route", "--expires", "soon"), "expires: 'soon' is not a duration"),
        (("create", "ci", "--scope", "route", "--expires", "0d"), "expires: '0d' is not a duration"),
        (("revoke", "0123456789ab"), "no API key of this router has the id '0123456789ab'"),
    ],
)
def test_a_wrong_wish_is_one_line(call: Run, words: tuple[str, ...], message: str) -> None:
    create(call)
    assert message in call("keys", *words).error


def test_what_is_done_is_in_the_audit(call: Run) -> None:
    key_id, _ = create(call)
    call("arms", "disable", "small")
    call("arms", "reset", "large")
    call("keys", "revoke", key_id)
    acts = json.loads(call("audit", "--json").out)
    assert [(act["kind"], act["subject"]) for act in acts] == [
        ("settings_applied", None),
        ("key_created", key_id),
        ("arm_disabled", "small"),
        ("arm_reset", "large"),
        ("key_revoked", key_id),
    ]
    assert {act["actor"] for act in acts} == {find_actor()}
    assert [act["kind"] for act in json.loads(call("audit", "--last", "1", "--json").out)] == ["key_revoked"]
    printed = call("audit")
    assert "arm_disabled" in printed.out.replace("\n", "")


def test_applied_settings_and_damaged_snapshots_are_in_the_audit(call: Run, tmp_path: Path) -> None:
    create(call)
    text = (tmp_path / "router.toml").read_text()
    (tmp_path / "router.toml").write_text(f"[router]\ncost_weight = 3\n{text}")
    assert call("apply").code == 0
    last = json.loads(call("audit", "--last", "1", "--json").out)[0]
    assert last["kind"] == "settings_applied"
    assert last["details"]["changes"] == ["router.cost_weight: not set -> 3.0"]


def test_a_key_with_a_budget_shows_what_it_spent_today(call: Run) -> None:
    key_id, _ = create(call, "--usd-per-day", "2")
    other, _ = create(call)
    assert (listed(call)[key_id]["spent_usd_today"], listed(call)[key_id]["reserved_usd_today"]) == (0.0, 0.0)
    assert listed(call)[other]["spent_usd_today"] is None
    assert "spent" in call("keys", "list").out


def test_a_key_in_quarantine_is_listed_as_such_until_it_is_released(call: Run) -> None:
    key_id, _ = create(call)
    said = call("quarantine", "--key", key_id)
    assert said.code == 0, said.err
    assert "counts for nothing" in said.out
    assert listed(call)[key_id]["quarantined_at"] is not None
    assert "active, quarantined" in call("keys", "list").out
    assert "in quarantine already" in call("quarantine", "--key", key_id).error
    assert call("quarantine", "--key", key_id, "--release").code == 0
    assert listed(call)[key_id]["quarantined_at"] is None
    acts = [act["kind"] for act in json.loads(call("audit", "--json").out)]
    assert acts[-2:] == ["key_quarantined", "key_released"]
