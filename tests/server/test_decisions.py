"""GET /v1/decisions/{id}: why a model was chosen."""

from __future__ import annotations

import math

import pytest

from bandit_router.router import Router
from bandit_router.types import Arm
from tests.server.conftest import Client, assert_problem
from tests.services import SMALL, serving, write_settings


def test_a_decision_says_what_it_was_made_from(client: Client) -> None:
    routed = client.route(query="Why?", cost_weight=3.5, conversation="c-1", user_tier="free").json()
    decision = client.get(f"/v1/decisions/{routed['decision_id']}").json()
    assert {name: decision[name] for name in routed} == routed
    assert decision["schema_id"].startswith("text-")
    assert decision["cost_weight"] == 3.5
    assert decision["conversation"] == "c-1"
    assert decision["parent"] is None
    assert decision["metrics"] == {}
    assert decision["decided_at"] > 1.7e9


def test_its_pmf_sums_to_one_and_holds_the_propensity(client: Client) -> None:
    decision = client.get(f"/v1/decisions/{client.decided()}").json()
    pmf = {score["arm"]: score["probability"] for score in decision["eligible"]}
    assert set(pmf) == {"small", "large"}
    assert math.fsum(pmf.values()) == pytest.approx(1.0, abs=1e-12)
    assert pmf[decision["arm"]] == decision["propensity"]


def test_its_scores_are_those_of_the_snapshot_it_read(client: Client) -> None:
    routed = client.route(query="Why?", cost_weight=3.5).json()
    decision = client.get(f"/v1/decisions/{routed['decision_id']}").json()
    for score in decision["eligible"]:
        assert score["utility"] == pytest.approx(score["mean"] - 3.5 * score["expected_cost_usd"])
        assert score["std"] > 0.0
    chosen = next(score for score in decision["eligible"] if score["arm"] == decision["arm"])
    assert chosen["mean"] == decision["expected_quality"]
    assert chosen["expected_cost_usd"] == decision["expected_cost_usd"]


def test_only_eligible_arms_are_in_it(client: Client) -> None:
    routed = client.route(query="a", require=["tools"]).json()
    decision = client.get(f"/v1/decisions/{routed['decision_id']}").json()
    assert [score["arm"] for score in decision["eligible"]] == ["small"]


@pytest.mark.parametrize(
    "decision_id",
    ["unknown", "01890a5d-ac96-774b-bcce-b302099a8057", "%C3%A9", "%ED%A0%80", "%FF", "%27%20OR%201"],
)
def test_an_unknown_decision_is_not_found(client: Client, decision_id: str) -> None:
    assert "no decision" in assert_problem(client.get(f"/v1/decisions/{decision_id}"), 404)["detail"]


@pytest.mark.parametrize("decision_id", ["%00", "a%00b", "x" * 37, "x" * 20_000])
def test_an_id_that_no_decision_can_have_is_refused(client: Client, decision_id: str) -> None:
    assert_problem(client.get(f"/v1/decisions/{decision_id}"), 422, field="decision_id")


def test_a_decision_of_an_arm_that_another_worker_just_added_is_found(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # The service would look for new arms after an hour.
    config = write_settings(tmp_path_factory.mktemp("late"), arms=(SMALL,), learner={"interval_s": 3600.0})
    with serving(config) as service, Client(service.url) as client, Router.open(config) as other:
        other.put_arm(
            Arm(name="new", provider="p", model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
        )
        decision = other.route("hello", arms=["new"])
        answer = client.get(f"/v1/decisions/{decision.id}")
        assert answer.status_code == 200
        assert (answer.json()["arm"], answer.json()["model"]) == ("new", "m")


def test_scores_are_null_when_the_snapshot_is_pruned(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = write_settings(
        tmp_path_factory.mktemp("pruned"), store={"keep_snapshots": 1}, learner={"interval_s": 3600.0}
    )
    with serving(config) as service, Client(service.url) as client:
        decision = client.decided()
        with Router.open(config) as other:
            other.feedback(decision, quality=1.0)
            other.learn()
        answer = client.get(f"/v1/decisions/{decision}").json()
        assert [(s["mean"], s["std"], s["utility"]) for s in answer["eligible"]] == [(None, None, None)] * 2
        assert sum(s["probability"] for s in answer["eligible"]) == pytest.approx(1.0)
