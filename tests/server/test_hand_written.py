"""Hand-written policies over HTTP, with two workers."""

from __future__ import annotations

from pathlib import Path

from tests.server.conftest import Client
from tests.services import run_cli, serving, write_settings

TIERS = {"premium": "large", "else": "[heuristic:cheap=small,expensive=large,epsilon=0.0]"}


def test_tiers_and_rules_decide_and_the_log_says_why(tmp_path: Path) -> None:
    config = write_settings(tmp_path, policy={"name": "tier", "tiers": TIERS})
    with serving(config, "--workers", "2") as service, Client(service.url) as client:
        for tier, query, arm, reason in (
            ("premium", "Hello", "large", "tier"),
            ("free", "Hello", "small", "policy"),
            ("free", "Debug ```f(x)```", "large", "policy"),
        ):
            answer = client.route(query=query, user_tier=tier).json()
            assert (answer["arm"], answer["propensity"], answer["reason"]) == (arm, 1.0, reason)
            logged = client.get(f"/v1/decisions/{answer['decision_id']}").json()
            assert (logged["arm"], logged["reason"]) == (arm, reason)
        sent = client.route(features=[0.0] * 15, user_tier="free").json()
        assert sent["arm"] == "small"
    done = run_cli("verify", "--config", str(config))
    assert done.stdout.endswith("verify: ok\n"), done.stdout
    assert "pmfs recomputed: 4" in done.stdout
