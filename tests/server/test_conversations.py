"""Conversations, workflows, overrides and explanations over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bandit_router.types import Reason
from tests.server.conftest import Client, assert_problem
from tests.services import serving, write_settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service that begins conversations anywhere, with a workflow."""
    config = write_settings(tmp_path_factory.mktemp("conversations"), policy={"name": "uniform"})
    workflow = '[[workflows]]\nname = "invoices"\narm = "large"\n'
    config.write_text(config.read_text(encoding="utf-8") + workflow, encoding="utf-8")
    with serving(config) as service, Client(service.url) as connected:
        yield connected


def test_a_conversation_keeps_its_model(client: Client) -> None:
    for name in ("c-1", "c-2", "c-3", "c-4"):
        first, *steps = [client.route(query=f"turn {i}", conversation=name).json() for i in range(6)]
        assert first["reason"] == "policy"
        assert first["pmf"] == {"large": 0.5, "small": 0.5}
        assert {step["arm"] for step in steps} == {first["arm"]}
        assert {step["reason"] for step in steps} == {"sticky"}
        others = {"large", "small"} - {first["arm"]}
        assert steps[0]["pmf"] == {first["arm"]: 1.0, others.pop(): 0.0}


def test_an_answer_says_what_was_excluded_and_why(client: Client) -> None:
    answer = client.route(query="a", forbid=["large"]).json()
    assert answer["pmf"] == {"small": 1.0}
    assert answer["excluded"] == {"large": "forbidden by the caller"}


def test_a_workflow_and_an_override_name_the_model(client: Client) -> None:
    answer = client.route(query="a", workflow="invoices").json()
    assert (answer["arm"], answer["reason"], answer["propensity"]) == ("large", "workflow", 1.0)
    answer = client.route(query="a", workflow="invoices", override="small").json()
    assert (answer["arm"], answer["reason"], answer["propensity"]) == ("small", "override", 1.0)


def test_wrong_names_are_named(client: Client) -> None:
    content = assert_problem(client.route(query="a", workflow="mail"), 422, field="workflow")
    assert "use one of invoices" in content["detail"]
    for field, body in (("override", {"override": "gpt-9"}), ("forbid", {"forbid": ["gpt-9"]})):
        assert_problem(client.route(query="a", **body), 422, field=field)
    assert_problem(client.route(query="a", instead_of="d"), 422, field="instead_of")


def test_a_workflow_whose_model_is_not_eligible_says_why(client: Client) -> None:
    content = assert_problem(client.route(query="a", workflow="invoices", require=["tools"]), 422)
    assert "workflow 'invoices' is pinned to arm 'large'" in content["detail"]
    assert content["excluded"] == {"large": "lacks tools"}


def test_an_override_instead_of_an_answer_is_feedback_on_it(client: Client) -> None:
    first = client.route(query="a").json()["decision_id"]
    second = client.route(query="a", override="large", instead_of=first).json()["decision_id"]
    before, after = (client.get(f"/v1/decisions/{id}").json() for id in (first, second))
    assert before["metrics"] == {"override": 1.0}
    assert before["children"] == [{"decision_id": second, "arm": "large", "reason": "override"}]
    assert after["parent"] == first
    assert [link["decision_id"] for link in after["parents"]] == [first]
    assert_problem(client.route(query="a", override="large", instead_of="unknown"), 404)


def test_feedback_of_a_conversation_says_what_it_was_recorded_on(client: Client) -> None:
    first = client.route(query="a", conversation="f").json()["decision_id"]
    client.route(query="b", conversation="f")
    body = '{"conversation": "f", "metrics": {"quality": 0.5}}'
    for outcome in ("recorded", "duplicate"):
        answer = client.send_raw("/v1/feedback", body)
        assert answer.json() == {"decision_id": first, "outcomes": {"quality": outcome}}
    standing = client.get(f"/v1/decisions/{first}").json()["standing"]
    assert (standing["id"], standing["choice"], standing["promoted"]) == ("f", first, False)


def test_feedback_of_an_unknown_conversation_is_not_found(client: Client) -> None:
    answer = client.send_raw("/v1/feedback", '{"conversation": "nobody", "metrics": {"quality": 0.5}}')
    assert "no conversation 'nobody'" in assert_problem(answer, 404)["detail"]


@pytest.mark.parametrize("about", ["", '"decision_id": "d", "conversation": "c", '])
def test_feedback_is_about_one_thing(client: Client, about: str) -> None:
    answer = client.send_raw("/v1/feedback", f'{{{about}"metrics": {{"quality": 0.5}}}}')
    assert_problem(answer, 422, field="decision_id")


def test_a_decision_says_why_in_a_sentence(client: Client) -> None:
    decision = client.route(query="a", workflow="invoices", conversation="w").json()["decision_id"]
    found = client.get(f"/v1/decisions/{decision}").json()
    assert found["why"] == "workflow 'invoices' is pinned to it"
    assert (found["signals"], found["standing"]) == ({"workflow": "invoices"}, None)
    assert found["reason"] == Reason.WORKFLOW
