"""A classifier in a live router: its signals, its policy, and what stops a router from opening."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandit_router.errors import ConfigError, SchemaMismatch
from bandit_router.evaluation.classified import classify_log
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.targets import target_pmf
from bandit_router.policies import parse_policy
from bandit_router.router import Router
from tests.classifiers import a_classifier, long_is_complex, saved
from tests.databases import MakeUrl
from tests.router.conftest import OpenRouter, settings_of

SHORT, LONG = "one two three", "one two three four five six seven eight nine ten eleven"
POLICY: dict[str, Any] = {"name": "classifier", "cheap": "small", "expensive": "large", "epsilon": 0.0}


def section(path: Path) -> dict[str, str]:
    return {"artifact": str(path)}


def test_queries_go_where_the_classifier_says_and_verify_agrees(
    open_on_either: OpenRouter, tmp_path: Path
) -> None:
    classifier = long_is_complex()
    router = open_on_either(policy=POLICY, classifier=section(saved(classifier, tmp_path)))
    short, long = router.route(SHORT), router.route(LONG, user_tier="premium")
    assert (short.arm, long.arm) == ("small", "large")
    assert long.signals == {
        "tier": "premium",
        "p_complex": classifier.p_complex(long.x),
        "classifier": classifier.digest,
    }
    assert router.decision(long.id).signals == long.signals
    again = router.decision(short.id)
    assert replace(again, x=short.x) == short
    for _ in range(20):
        router.feedback(router.route(LONG).id, quality=1.0)
    router.learn()
    report = router.verify()
    assert report.ok
    assert report.pmfs_recomputed == 22


def test_verify_notices_a_signal_that_is_not_what_was_decided_by(
    open_router: OpenRouter, tmp_path: Path
) -> None:
    router = open_router(policy=POLICY, classifier=section(saved(long_is_complex(), tmp_path)))
    made = router.route(LONG)
    engine = router._store._engine
    with engine.begin() as connection:
        forged = json.dumps({**made.signals, "p_complex": 0.1})
        statement = "UPDATE decisions SET signals = ? WHERE id = ?"
        assert connection.exec_driver_sql(statement, (forged, made.id)).rowcount == 1
    [problem] = router.verify().problems
    assert "differs by 1" in problem


def test_callers_who_send_vectors_are_classified_too(open_router: OpenRouter, tmp_path: Path) -> None:
    classifier = a_classifier(schema_id="vector/15")
    vectors = {"embedding": "vector", "vector_dim": 15}
    router = open_router(features=vectors, policy=POLICY, classifier=section(saved(classifier, tmp_path)))
    made = router.route(features=[0.5] * 15)
    assert made.signals["p_complex"] == classifier.p_complex(made.x)


def test_a_log_of_another_policy_has_the_signals(open_router: OpenRouter, tmp_path: Path) -> None:
    router = open_router(policy={"name": "uniform"}, classifier=section(saved(a_classifier(), tmp_path)))
    assert 0.0 < float(router.route(SHORT).signals["p_complex"]) < 1.0


def test_without_a_classifier_there_is_nothing_to_log(open_router: OpenRouter) -> None:
    router = open_router()
    assert router.signallers == ()
    assert router.route(SHORT).signals == {}


def test_a_policy_without_its_classifier_is_not_opened(open_router: OpenRouter, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"classifier\.artifact: is missing.*train-classifier"):
        open_router(policy=POLICY)
    path = saved(a_classifier(), tmp_path)
    path.write_text(path.read_text().replace('"small"', '"large"'))
    with pytest.raises(ConfigError, match="does not match its checksum"):
        open_router(classifier=section(path))
    with pytest.raises(ConfigError, match=r"nowhere\.json: does not exist"):
        open_router(classifier={"artifact": "nowhere.json"})
    with pytest.raises(SchemaMismatch, match=r"classifier\.json reads contexts 'vector/15'"):
        open_router(classifier=section(saved(a_classifier(schema_id="vector/15"), tmp_path)))
    with pytest.raises(ConfigError, match="'huge' is not an arm"):
        open_router(
            policy=POLICY | {"expensive": "huge"}, classifier=section(saved(a_classifier(), tmp_path))
        )


def test_a_classifier_judges_a_log_made_without_it_as_it_would_have_live(
    make_sqlite_url: MakeUrl, tmp_path: Path
) -> None:
    """What is computed from a logged x is what would have been logged."""
    classifier = long_is_complex()
    url, path = make_sqlite_url(), saved(classifier, tmp_path)
    with Router.open(settings_of(url, policy={"name": "uniform"})) as router:
        made = [router.route(f"{'word ' * (1 + i % 17)}{i}?", user_tier="free") for i in range(40)]
    policy = parse_policy("classifier:cheap=small,expensive=large,threshold=0.6")
    with open_log(url) as log:
        [piece] = classify_log(log, classifier, path)
        block = piece.read()
        pmf = target_pmf(block, policy, None)
        with pytest.raises(SchemaMismatch, match="classifier"):
            classify_log(log, a_classifier(schema_id="vector/15"), path)
    assert [block.signals_at(i)["tier"] for i in range(40)] == ["free"] * 40
    dear = [float(pmf[i, block.arms.index("large")]) > 0.5 for i in range(40)]
    assert dear == [classifier.p_complex(one.x) > 0.6 for one in made]
    assert 0 < sum(dear) < 40
