"""Metrics of the owner's: on their scales in feedback, as shares of them in the log, learned by weight."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.router import Router
from tests.router.conftest import OpenRouter
from tests.server.conftest import Client, assert_problem
from tests.services import serving, write_settings

STARS: dict[str, Any] = {"metrics": {"stars": {"scale": [1, 5]}}, "reward": {"weights": {"stars": 1.0}}}


@pytest.fixture
def router(open_on_either: OpenRouter) -> Router:
    return open_on_either(**STARS)


def rate(router: Router, rating: Callable[[str], float], rounds: int = 40) -> None:
    for i in range(rounds):
        decision = router.route(f"query {i}")
        router.feedback(decision.id, stars=rating(decision.arm))
    router.learn()


def test_a_rating_is_logged_as_the_share_of_its_scale(router: Router) -> None:
    decision = router.route("Why?")
    outcomes = [router.feedback(decision.id, stars=stars)["stars"] for stars in (4, 4.0, 1, None)]
    assert outcomes == ["recorded", "duplicate", "revised", "retracted"]
    router.feedback(decision.id, stars=4)
    assert router.metrics(decision.id) == router.explain(decision.id).metrics == {"stars": 0.75}


def test_a_rating_is_learned_by_its_weight_and_rebuilt(router: Router) -> None:
    rate(router, lambda arm: 5.0 if arm == "large" else 1.0)
    assert sum(router.counts().values()) == 40
    decision = router.route("another")
    assert dict(zip(decision.eligible, decision.pmf, strict=True))["large"] > 0.9
    router.rebuild()
    report = router.verify()
    assert report.ok, report.problems


def test_another_scale_leaves_the_log_as_it_is(open_router: OpenRouter) -> None:
    first = open_router(**STARS)
    decision = first.route("Why?")
    first.feedback(decision.id, stars=4)
    later = open_router(**STARS | {"metrics": {"stars": {"scale": [0, 10]}}})
    assert later.metrics(decision.id) == {"stars": 0.75}
    assert later.verify().ok


def test_a_floor_may_be_of_ratings(open_router: OpenRouter) -> None:
    router = open_router(**STARS, budget={"mean_quality": 0.5})
    rate(router, lambda _: 4.0, rounds=5)
    assert router.budget().mean_reward == pytest.approx(0.75)
    assert router.verify().ok


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"stars": 0.5}, r"metrics.stars: is out of range; give a number in \[1, 5\]"),
        ({"stars": True}, r"metrics.stars: is bool, not a number"),
        (
            {"thumbs": 1},
            "metrics.thumbs: is not a metric; use one of .*, stars, or declare",
        ),
        ({"quality": 4}, r"metrics.quality: is out of range; give a number in \[0, 1\], or declare a metric"),
        ({"thumbs": None}, "metrics.thumbs: is not a metric"),
    ],
)
def test_what_is_off_the_scale_is_refused_with_what_to_do(
    open_router: OpenRouter, metrics: dict[str, Any], told: str
) -> None:
    router = open_router(**STARS)
    decision = router.route("Why?")
    with pytest.raises(InvalidInput, match=told):
        router.feedback(decision.id, **metrics)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"metrics": {"quality": {"scale": [1, 5]}}}, "metrics: quality has a meaning already"),
        ({"metrics": {"stars": {"scale": [5, 1]}}}, "metrics.stars.scale: is no range"),
        ({"metrics": {"stars": {"scale": [1, 5], "weight": 1}}}, "unknown key 'weight'; allowed: scale"),
        ({"metrics": {"Stars!": {"scale": [1, 5]}}}, "metrics.Stars!"),
        ({"reward": {"weights": {"stars": 1.0}}}, r"declare it: \[metrics.stars\] scale = \[1, 5\]"),
    ],
)
def test_a_wrong_declaration_is_refused(open_router: OpenRouter, sections: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_router(**sections)


def test_ratings_over_http_and_on_the_command_line(tmp_path: Path) -> None:
    config = write_settings(tmp_path, metrics={"stars": {"scale": [1, 5]}})
    with serving(config) as service, Client(service.url) as client:
        decision = client.decided()
        assert client.feedback(decision, stars=4).json()["outcomes"] == {"stars": "recorded"}
        assert_problem(client.feedback(decision, stars=6), 422, field="metrics.stars")
        command = [
            sys.executable,
            "-m",
            "bandit_router.cli",
            "feedback",
            decision,
            "stars=2",
            "-c",
            str(config),
        ]
        assert (
            subprocess.run(command, capture_output=True, text=True, check=True).stdout == "stars: revised\n"
        )
        assert client.get(f"/v1/decisions/{decision}").json()["metrics"] == {"stars": 0.25}
