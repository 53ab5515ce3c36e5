"""Why a decision has its arm: in words, and in what it follows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bandit_router.errors import UnknownDecision
from bandit_router.router import Router
from bandit_router.router.explain import build_route_answer, explain_reason
from bandit_router.types import Reason
from tests.databases import MakeUrl
from tests.router.conftest import settings_of
from tests.store.examples import decision


@pytest.fixture
def router(make_sqlite_url: MakeUrl) -> Iterator[Router]:
    with Router.open(settings_of(make_sqlite_url(), policy={"name": "uniform"})) as opened:
        yield opened


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    made = decision(reason=reason, conversation="chat", parent="p-1", signals={"workflow": "invoices"})
    sentence = explain_reason(made)
    assert len(sentence.split()) > 3
    assert "{" not in sentence
    expected = {"sticky": "chat", "promotion": "chat", "workflow": "invoices", "escalation": "p-1"}
    assert expected.get(reason, "") in sentence


def test_alternatives_are_what_the_policy_saw(router: Router) -> None:
    made = router.route("Why?", cost_weight=3.5)
    found = router.explain(made.id)
    scores = router.scores(made)
    assert scores is not None
    assert [one.arm for one in found.alternatives] == list(made.eligible)
    assert [one.probability for one in found.alternatives] == list(made.pmf)
    assert [one.expected_cost_usd for one in found.alternatives] == list(made.expected_costs_usd)
    assert [one.mean for one in found.alternatives] == scores.mean.tolist()
    assert [one.std for one in found.alternatives] == scores.std.tolist()
    assert [one.utility for one in found.alternatives] == scores.utility.tolist()


def test_a_chain_is_followed_up_to_its_beginning_and_down_to_what_came_next(router: Router) -> None:
    ids = [router.route("a").id]
    for _ in range(3):
        ids.append(router.route("a", override="large", instead_of=ids[-1]).id)
    other = router.route("a", override="small", instead_of=ids[2]).id
    found = router.explain(ids[2])
    assert [link.decision_id for link in found.parents] == ids[:2]
    assert [link.decision_id for link in found.children] == [ids[3], other]
    assert [link.reason for link in found.children] == [Reason.OVERRIDE] * 2
    assert found.metrics == {"override": 1.0}


def test_a_conversation_is_told_as_it_stands_now(router: Router) -> None:
    first = router.route("a", conversation="c")
    step = router.route("b", conversation="c")
    standing = router.explain(step.id).standing
    assert standing is not None
    assert (standing.arm, standing.choice, standing.promoted) == (first.arm, first.id, False)
    assert standing.seen_at == step.decided_at


def test_an_unknown_decision_is_refused(router: Router) -> None:
    with pytest.raises(UnknownDecision):
        router.explain("unknown")


def test_the_facts_hold_the_answer_and_are_json(router: Router) -> None:
    made = router.route("a", forbid=["small"], user_tier="free", conversation="c")
    facts = json.loads(json.dumps(router.explain(made.id).facts()))
    assert facts | build_route_answer(made, router.arm(made.arm)) == facts
    assert facts["excluded"] == {"small": "forbidden by the caller"}
    assert facts["signals"] == {"tier": "free"}
