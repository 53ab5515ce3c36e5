"""A classifier behind HTTP, in two workers."""

from __future__ import annotations

from pathlib import Path

from bandit_router.router import Router
from tests.classifiers import long_is_complex, saved
from tests.server.conftest import Client
from tests.services import serving, write_settings

SHORT, LONG = "one two three", "one two three four five six seven eight nine ten eleven"


def test_every_worker_routes_by_the_classifier(tmp_path: Path) -> None:
    policy = {"name": "classifier", "cheap": "small", "expensive": "large", "epsilon": 0.0}
    path = saved(long_is_complex(), tmp_path)
    config = write_settings(tmp_path, policy=policy, classifier={"artifact": str(path)})
    with serving(config, "--workers", "2") as service, Client(service.url) as client:
        for _ in range(20):
            for query, arm in ((SHORT, "small"), (LONG, "large")):
                decision = client.route(query=query).raise_for_status().json()
                assert decision["arm"] == arm
                client.feedback(decision["decision_id"], quality=0.5).raise_for_status()
    with Router.open(config) as router:
        router.learn()
        report = router.verify()
        assert report.ok
        assert report.pmfs_recomputed == 40
        logged = router.decision(decision["decision_id"])
    assert logged.signals["classifier"] == long_is_complex().digest
