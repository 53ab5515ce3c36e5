"""A database that the version before wrote: it migrates, goes on and verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandit_router.router import Router
from bandit_router.settings import Settings, make_settings
from tests.migrated import migrate_url
from tests.store.old_database import write_old_database


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those that the database was written with."""
    url = migrate_url(write_old_database(tmp_path / "router.db"))
    prices = {"small": (0.15, 0.6), "large": (2.5, 10.0)}
    return make_settings(
        {
            "arms": [
                {"name": name, "model": name, "input_usd_per_mtok": i, "output_usd_per_mtok": o}
                for name, (i, o) in prices.items()
            ],
            "features": {"embedding": "vector", "vector_dim": 3},
            "store": {"url": url},
            "learner": {"interval_s": 3600},
            "router": {"cost_weight": 20.0},
            "budget": {"usd_per_request": 0.002},
            "cascade": {"enabled": True, "expensive": "large"},
        }
    )


def test_it_verifies_as_it_was(settings: Settings) -> None:
    with Router.open(settings) as router:
        report = router.verify()
        assert report.problems == []
        assert (report.decisions, report.pending, report.pmfs_recomputed) == (69, 11, 60)
        assert report.counted == {"rewards": 60, "costs": 60, "latencies": 60, "confidences": 13}
        assert report.in_log == report.counted | {"rewards": 59}  # one was taken back and is pending
        assert router.snapshot == 6, "no rebuild was needed"


def test_it_goes_on_learning(settings: Settings) -> None:
    with Router.open(settings) as router:
        assert router.learn() == 11
        decision = router.route(features=[0.0, 1.0, 2.0])
        router.feedback(decision.id, quality=1.0)
        assert router.learn() == 1
        assert sum(router.counts().values()) == 60
        assert router.verify().problems == []
        counts = router.counts()
        assert router.rebuild() == 60
        assert router.counts() == counts
        assert router.verify().problems == []
