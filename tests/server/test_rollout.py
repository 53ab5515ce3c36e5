"""A rollout over HTTP with two workers, stage by stage, and one log that all of it can be read from."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from scipy.stats import binomtest

from bandit_router.evaluation.evaluate import evaluate
from bandit_router.evaluation.logs.read import open_log
from bandit_router.insight.rollout_estimate import observe_rollout
from bandit_router.policies.bandit import Fixed
from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store.log_reader import LoggedDecision
from bandit_router.store.store import Store
from bandit_router.types import Reason
from tests.server.conftest import Client, assert_problem
from tests.services import Service, serving, write_settings

WAIT_S = 30.0
QUALITY = {"small": 0.3, "large": 0.9}
STAGES: tuple[tuple[str, dict[str, Any], float, int], ...] = (
    # the path to it, its body, its share, its requests
    ("", {}, 0.0, 80),
    ("advance", {}, 0.01, 150),
    ("advance", {}, 0.05, 200),
    ("abort", {}, 0.0, 80),
    ("advance", {"share": 0.5}, 0.5, 250),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers; the caller decides today, and a uniform choice is to follow."""
    config = write_settings(
        tmp_path_factory.mktemp("rollout"),
        policy={"name": "uniform"},
        rollout={"incumbent": "[caller:otherwise=large]", "interval_s": 4.0},
    )
    with serving(config, "--workers", "2") as running:
        yield running


class Callers:
    """Four callers at once, who send feedback on what they got, and remember every answer."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answers: dict[str, dict[str, Any]] = {}

    def ask(self, n: int) -> None:
        """Send n requests that say what their caller would have done."""
        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(self._ask_once, range(n)):
                self.answers[answer["decision_id"]] = answer

    def _ask_once(self, i: int) -> dict[str, Any]:
        named = {"incumbent": "small"} if i % 4 == 0 else {}
        answer: dict[str, Any] = self.client.route(query=f"query {i}", **named).raise_for_status().json()
        good = random.Random(answer["decision_id"]).random() < QUALITY[answer["arm"]]
        self.client.feedback(answer["decision_id"], quality=float(good)).raise_for_status()
        return answer


def change_stage(client: Client, callers: Callers, path: str, body: dict[str, Any]) -> None:
    """Begin a stage amid requests, and wait until every worker decides by it."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(callers.ask, 20)
        stage = client.post(f"/v1/rollout/{path}", json=body).raise_for_status().json()
        asking.result(WAIT_S)
    deadline, in_a_row = time.monotonic() + WAIT_S, 0
    while in_a_row < 20:
        assert time.monotonic() < deadline, "a worker does not follow"
        with Client(str(client.base_url)) as fresh:  # which any of the workers may accept
            now = fresh.get("/v1/rollout").raise_for_status().json()["stage"]
        in_a_row = in_a_row + 1 if now == stage else 0


def test_stage_by_stage_shares_are_as_asked_for_and_nothing_is_lost(service: Service) -> None:
    played = []
    with Client(service.url) as client:
        callers = Callers(client)
        for path, body, share, n in STAGES:
            if path:
                change_stage(client, callers, path, body)
            before = len(callers.answers)
            callers.ask(n)
            played.append((share, list(callers.answers)[before:]))
        wait_for_status(client)
    settings = load_settings(service.config)
    with closing(Store.open(settings.store.url, settings.router.name, create=False)) as store:
        logged = read_log(store)
        assert logged.keys() == callers.answers.keys()  # each once, and no other
        for share, ids in played:
            check_stage([logged[id] for id in ids], share)
        check_status(store, service)
    check_audit(service, len(callers.answers))
    check_evaluation(service)


def wait_for_status(client: Client) -> None:
    """Until the service has compared the last stage by itself."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        answer = client.get("/v1/rollout").raise_for_status().json()
        status = answer["status"]
        if status is not None and status["stages"][-1]["id"] == answer["stage"]["id"] == len(STAGES):
            return
        time.sleep(0.1)
    pytest.fail("the rollout is not compared in time")


def read_log(store: Store) -> dict[str, LoggedDecision]:
    with store.read_log() as log:
        pages = [entry for page in log.log() for entry in page]
    assert all(isinstance(entry, LoggedDecision) and "quality" in entry.metrics for entry in pages)
    return {entry.decision.id: entry for entry in pages if isinstance(entry, LoggedDecision)}


def check_stage(entries: list[LoggedDecision], share: float) -> None:
    """Every decision has the mixture of the stage, and the branches have their shares.

    Workers draw as they like, so that a right share fails once in a million runs.
    """
    branches = Counter(str(entry.decision.signals["branch"]) for entry in entries)
    assert binomtest(branches["candidate"], len(entries), share).pvalue > 1e-6
    for entry in entries:
        decision = entry.decision
        named = decision.signals.get("incumbent", "large")
        expected = {arm: share / 2 + (1.0 - share) * (arm == named) for arm in decision.eligible}
        assert dict(zip(decision.eligible, decision.pmf, strict=True)) == pytest.approx(expected)
        assert decision.reason is (Reason.POLICY if share else Reason.INCUMBENT)


def check_status(store: Store, service: Service) -> None:
    """The candidate is found to be worse, by about what it is."""
    status = observe_rollout(store, load_settings(service.config).rollout)
    assert [stage.share for stage in status.stages] == [share for _, _, share, _ in STAGES]
    quality = status.over_all.quality
    assert quality is not None
    # a caller names small for one request in four
    truth = 0.6 - (0.25 * 0.3 + 0.75 * 0.9)
    assert quality.low <= truth <= quality.high


def check_audit(service: Service, answers: int) -> None:
    with Router.open(load_settings(service.config), apply="never") as router:
        router.learn()
        report = router.verify()
        acts = [act.kind.value for act in router.acts(50)]
    assert report.problems == []
    assert report.decisions == report.pmfs_recomputed + report.pmfs_without_snapshot == answers
    assert report.counted["rewards"] == answers
    assert [kind for kind in acts if kind.startswith("rollout")] == [
        *("rollout_begun", "rollout_advanced", "rollout_advanced", "rollout_aborted", "rollout_advanced")
    ]


def check_evaluation(service: Service) -> None:
    """One log of all stages says what each model would have earned, and what the candidate would."""
    settings = load_settings(service.config)
    with open_log(settings.store.url, settings.router.name) as log:
        rows, pieces = log.rows, log.pieces
        found = evaluate(pieces, log.arms, {}, rows=rows, prior=None, estimators=["dr"], headline="dr")
    fixed = {a.question.policy.arm: a for a in found.answers if isinstance(a.question.policy, Fixed)}
    for arm, quality in QUALITY.items():
        estimate = fixed[arm].estimates["dr"]["quality"]
        assert estimate is not None
        assert estimate.low <= quality <= estimate.high


def test_what_is_wrong_is_refused_by_name(service: Service) -> None:
    with Client(service.url) as client:
        assert_problem(client.post("/v1/rollout/advance", json={"share": 2.0}), 422, field="share")
        assert_problem(client.post("/v1/rollout/abort", json={"share": 0.5}), 422, field="share")
        assert_problem(client.route(query="hello", incumbent="gpt-9"), 422, field="incumbent")
