"""The settings that workers share: what they are, when they are the same, and what differs."""

from __future__ import annotations

from typing import Any

import pytest

from bandit_router.errors import ConfigError
from bandit_router.settings import make_settings
from bandit_router.settings.shared import (
    compute_fingerprint,
    describe_differences,
    dump_shared,
    restore_shared,
)

ARM = {"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6}
FULL: dict[str, Any] = {
    "router": {"cost_weight": 20.0},
    "policy": {"name": "tier", "tiers": {"free": "small", "else": "[tempered]"}},
    "arms": [ARM],
    "reward": {"weights": {"quality": 0.8, "error": 0.2}},
    "budget": {"usd_per_day": 5.0},
    "rules": [{"name": "long", "weight": 0.4, "longer_than": 500}],
    "workflows": [{"name": "invoices", "arm": "small"}],
    "cascade": {"enabled": True, "expensive": "small"},
}


def test_shared_sections_come_back_as_they_were() -> None:
    settings = make_settings(FULL)
    assert restore_shared(make_settings({}), dump_shared(settings)) == settings


def test_a_worker_keeps_its_own_database_and_server() -> None:
    other = make_settings(
        {"store": {"url": "sqlite:///b.db"}, "server": {"port": 9}, "learner": {"batch": 7}}
    )
    restored = restore_shared(other, dump_shared(make_settings(FULL)))
    assert (restored.store, restored.server, restored.learner) == (other.store, other.server, other.learner)
    assert dump_shared(other) == {}


def test_what_is_at_its_default_does_not_count() -> None:
    spelled_out = make_settings({"arms": [ARM | {"expected_output_tokens": 300}], "budget": {}})
    assert dump_shared(spelled_out) == dump_shared(make_settings({"arms": [ARM]}))


def test_another_value_is_another_fingerprint() -> None:
    prints = {
        compute_fingerprint(dump_shared(make_settings(FULL | change)))
        for change in ({}, {"router": {"cost_weight": 21.0}}, {"arms": [ARM | {"enabled": False}]})
    }
    assert len(prints) == 3


def test_the_environment_does_not_change_what_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = dump_shared(make_settings(FULL))
    monkeypatch.setenv("BANDIT_ROUTER_ROUTER__COST_WEIGHT", "99")
    assert restore_shared(make_settings({}), shared).router.cost_weight == 20.0


def test_differences_name_the_key_and_both_values() -> None:
    old = dump_shared(make_settings(FULL))
    new = dump_shared(
        make_settings(
            FULL | {"arms": [ARM | {"output_usd_per_mtok": 0.7}, ARM | {"name": "b"}], "budget": {}}
        )
    )
    assert describe_differences(old, new) == [
        "arms.b.input_usd_per_mtok: not set -> 0.15",
        "arms.b.name: not set -> 'b'",
        "arms.b.output_usd_per_mtok: not set -> 0.6",
        "arms.small.output_usd_per_mtok: 0.6 -> 0.7",
        "budget.usd_per_day: 5.0 -> not set",
    ]
    assert describe_differences(old, old) == []


def test_settings_of_a_newer_version_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"router\.from_the_future"):
        restore_shared(make_settings({}), {"router": {"from_the_future": 1}})
