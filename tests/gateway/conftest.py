"""A service whose arms are scripted servers on loopback, and the log that it writes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bandit_router.learning.audit import audit_store
from bandit_router.providers.scripted import Scene, Script
from bandit_router.store.store import Store
from bandit_router.store.tables import calls, decisions
from bandit_router.types import CallEnd, Decision
from tests.providers.upstream import Upstream, serving, wait_until
from tests.services import Service, write_settings
from tests.services import serving as serving_router

ALL_DIALECTS = ["chat", "responses", "messages"]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway, the scripted servers behind it by arm, and its log."""

    service: Service
    upstreams: Mapping[str, Upstream]

    @property
    def openai_url(self) -> str:
        return f"{self.service.url}/v1"

    @property
    def anthropic_url(self) -> str:
        return self.service.url

    def read_calls(self, count: int) -> list[tuple[Decision, CallEnd]]:
        """The decisions and the ends of so many calls, oldest first, once all have ended; and `verify`."""
        return read_calls(self.service.database, count)

    def read_metrics(self, decision_id: str) -> dict[str, float]:
        """The metrics in force of a decision."""
        store = Store.open(f"sqlite:///{self.service.database}", "default", create=False)
        try:
            return store.observation(decision_id).metrics
        finally:
            store.close()


def read_calls(database: Path, count: int) -> list[tuple[Decision, CallEnd]]:
    """The decisions and the ends of so many calls, oldest first, once all have ended; and `verify`."""
    store = Store.open(f"sqlite:///{database}", "default", create=False)
    try:
        ids: list[str] = []

        def have_ended() -> bool:
            with store.read_log() as log:
                rows = log.connection.execute(calls.select().order_by(calls.c.decision_id)).all()
                logged = len(log.connection.execute(decisions.select()).all())
            ids[:] = [row.decision_id for row in rows]
            assert len(rows) == logged
            return len(rows) == count and all(row.outcome is not None for row in rows)

        wait_until(have_ended)
        assert audit_store(store).problems == []
        ended = [(store.decision(id), store.call(id)) for id in ids]
        return [(decision, end) for decision, end in ended if end is not None]
    finally:
        store.close()


@contextmanager
def gateway_to(
    folder: Path,
    scripts: Mapping[str, Script | Scene],
    arm: Mapping[str, Any] | None = None,
    *options: str,
    gateway: Mapping[str, Any] | None = None,
) -> Iterator[Gateway]:
    """A gateway with the arms of :func:`arms_to`."""
    with (
        arms_to(folder, scripts, arm, gateway) as (settings, upstreams),
        serving_router(settings, *options) as service,
    ):
        yield Gateway(service, upstreams)


@contextmanager
def arms_to(
    folder: Path,
    scripts: Mapping[str, Script | Scene],
    arm: Mapping[str, Any] | None = None,
    gateway: Mapping[str, Any] | None = None,
    **sections: Mapping[str, Any],
) -> Iterator[tuple[Path, Mapping[str, Upstream]]]:
    """Settings with one arm for each script, in this order of cost, and the servers that play them.

    ``arm`` are settings of all of them, ``gateway`` those of their gateway, ``sections`` others. One whose
    name begins with ``claude`` is of Anthropic and speaks messages alone, the others speak all. The policy
    takes the cheapest eligible arm, so that it is known which one is called.
    """
    with ExitStack() as stack:
        upstreams = {name: stack.enter_context(serving(script)) for name, script in scripts.items()}
        arms = tuple(
            {
                "name": name,
                "model": f"{name}-model",
                "input_usd_per_mtok": 10.0**k,
                "output_usd_per_mtok": 2 * 10.0**k,
                "allow_private": True,
                **_say_how_to_call(name, upstream.url),
                **(arm or {}),
            }
            for k, (name, upstream) in enumerate(upstreams.items())
        )
        usual: dict[str, Mapping[str, Any]] = {
            "router": {"cost_weight": 1e6},
            "policy": {"name": "epsilon-greedy", "epsilon": 1e-9},
            "gateway": gateway or {},
        }
        settings = write_settings(folder, arms=arms, **usual | sections)
        yield settings, upstreams


def _say_how_to_call(name: str, url: str) -> dict[str, Any]:
    if name.startswith("claude"):
        return {"provider": "anthropic", "base_url": url}
    bases = {"chat": f"{url}/v1", "responses": f"{url}/v1", "messages": url}
    return {"provider": "openai", "dialects": ALL_DIALECTS, "base_url": bases}


@pytest.fixture(autouse=True)
def _no_keys_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
