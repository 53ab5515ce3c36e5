"""Routers on the test's database, closed when the test is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from bandit_router.router import Router
from bandit_router.router.applied_settings import Apply
from bandit_router.settings import Settings, make_settings
from bandit_router.types import Arm, Decision
from tests.databases import MakeUrl

SMALL = {"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6, "capabilities": ["tools"]}
LARGE = {"name": "large", "input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0, "context_window": 1000}
NEW = Arm(name="new", provider="p", model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)

OpenRouter = Callable[..., Router]
"""Opens a router on the test's database; keyword arguments are sections of its settings."""


def settings_of(
    url: str,
    *,
    arms: tuple[dict[str, Any], ...] = (SMALL, LARGE),
    rules: Sequence[dict[str, Any]] = (),
    workflows: tuple[dict[str, str], ...] = (),
    **sections: Any,
) -> Settings:
    """Two arms, contexts of text statistics, and no learning that the test does not ask for."""
    usual: dict[str, dict[str, Any]] = {
        "features": {"embedding": "none"},
        "store": {"url": url},
        "learner": {"interval_s": 3600.0},
    }
    merged = {
        name: {**usual.get(name, {}), **sections.get(name, {})} for name in usual.keys() | sections.keys()
    }
    lists = {"arms": list(arms), "rules": list(rules), "workflows": list(workflows)}
    return make_settings({**lists, **merged})


@pytest.fixture
def open_router(make_sqlite_url: MakeUrl) -> Iterator[OpenRouter]:
    yield from _opening(make_sqlite_url(migrated=True))


@pytest.fixture
def open_on_postgresql(make_postgresql_url: MakeUrl) -> Iterator[OpenRouter]:
    yield from _opening(make_postgresql_url(migrated=True))


@pytest.fixture
def open_on_either(make_url: MakeUrl) -> Iterator[OpenRouter]:
    """As ``open_router``, on SQLite and on PostgreSQL."""
    yield from _opening(make_url(migrated=True))


def _opening(url: str) -> Iterator[OpenRouter]:
    opened: list[Router] = []

    def open_one(
        seed: int = 0,
        host_time: Callable[[], float] = time.time,
        *,
        apply: Apply = "always",
        **sections: Any,
    ) -> Router:
        settings, rng = settings_of(url, **sections), np.random.default_rng(seed)
        opened.append(Router.open(settings, rng=rng, host_time=host_time, apply=apply))
        return opened[-1]

    yield open_one
    for router in opened:
        router.close()


@pytest.fixture
def router(open_router: OpenRouter) -> Router:
    return open_router()


def teach(router: Router, rounds: int = 40) -> None:
    """Reward 1 for "large", 0 for "small", and fold it."""
    for i in range(rounds):
        decision = router.route(f"query {i}")
        router.feedback(decision.id, quality=float(decision.arm == "large"))
    router.learn()


def share(decision: Decision, arm: str) -> float:
    return dict(zip(decision.eligible, decision.pmf, strict=True))[arm]
