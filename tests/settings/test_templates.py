"""The files that `init` writes."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from bandit_router.settings import Settings, make_settings
from bandit_router.settings.templates import Template, read_template

MOST_LINES = 25

CAPABILITIES = ["tools", "json", "vision"]
MODELS = {
    "small": ("openai", "gpt-6-luna", 0.1, 0.5),
    "large": ("openai", "gpt-6.1-sol", 2.0, 10.0),
    "claude-small": ("anthropic", "claude-haiku-5-5", 0.1, 0.5),
    "claude-large": ("anthropic", "claude-opus-5-5", 4.0, 20.0),
}
"""By arm: provider, model, and its list prices of a million input and output tokens, USD."""
COMMON: dict[str, Any] = {
    "router": {"name": "default", "cost_weight": 20.0, "log_queries": False},
    "arms": [
        {"name": name, "provider": provider, "model": model, "capabilities": CAPABILITIES}
        | {"expected_output_tokens": 300}
        for name, (provider, model, _, _) in MODELS.items()
    ],
    "trial": {"share": 0.25, "rewards": 10, "beside": 100},
    "features": {"embedding": "wordllama", "embedding_dim": 64, "max_chars": 4096},
    "posterior": {
        "model": "hierarchical",
        "prior_mean": 0.7,
        "prior_std": 0.3,
        "arm_std": 0.15,
        "noise_std": 0.39,
        "on_drift": "reset",
    },
    "reward": {"weights": {"quality": 1.0}},
    "store": {"url": "sqlite:///router.db", "queue_size": 10_000, "keep_snapshots": 1000},
    "learner": {"interval_s": 1.0, "batch": 500},
    "conversations": {"sticky": True, "ttl_s": 86_400, "promote_gain": 0.05},
    "server": {"host": "127.0.0.1", "port": 8080, "workers": 1},
}
PAIR = {"cheap": "small", "expensive": "large", "epsilon": 0.02}
POLICIES: dict[Template, dict[str, Any]] = {
    Template.BANDIT: {"policy": {"name": "tempered", "epsilon": 0.005}},
    Template.HEURISTIC_CASCADE: {
        "policy": PAIR | {"name": "heuristic", "low": 0.2, "high": 0.8},
        "rules": [
            {"name": "long", "weight": 0.4, "longer_than": 500},
            {
                "name": "keywords",
                "weight": 0.5,
                "keywords": ["analyze", "code", "debug", "design", "explain", "prove"],
            },
            {"name": "premium", "weight": 0.4, "tier": "premium"},
            {"name": "follow-up", "weight": 0.2, "follow_up": True},
        ],
        "cascade": {
            "enabled": True,
            "expensive": "large",
            "epsilon": 0.05,
            "confidence": "self_check",
            "self_check_arm": "small",
        },
    },
    Template.CLASSIFIER: {
        "policy": PAIR | {"name": "classifier", "threshold": 0.7},
        "classifier": {"artifact": "classifier.json"},
    },
    Template.TIERS: {
        "policy": {
            "name": "tier",
            "tiers": {"premium": "large", "free": "small", "standard": "[tempered]", "else": "[tempered]"},
        },
    },
}
"""By template, what its file must set: every value the long files of old set, defaults included."""


def read_settings(template: Template) -> Settings:
    return make_settings(tomllib.loads(read_template(template)))


@pytest.mark.parametrize("template", Template)
def test_every_template_loads_to_the_stated_settings(template: Template) -> None:
    assert read_settings(template) == make_settings(COMMON | POLICIES[template])


def test_every_model_has_a_list_price() -> None:
    arms = [section.arm() for section in read_settings(Template.BANDIT).arms]
    assert {
        arm.name: (arm.provider, arm.model, arm.input_usd_per_mtok, arm.output_usd_per_mtok) for arm in arms
    } == MODELS


def test_the_file_that_init_writes_is_short() -> None:
    lines = [line.strip() for line in read_template().splitlines()]
    assert len([line for line in lines if line and not line.startswith("#")]) <= MOST_LINES
