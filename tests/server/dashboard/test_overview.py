"""The overview without a browser: what it says while there is nothing, and what it reads."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from bandit_router.errors import InvalidInput
from bandit_router.router import Router
from bandit_router.server.app import assemble_app, create_api
from bandit_router.server.dashboard.window import Step, Window, read_window
from bandit_router.settings import Settings, load_settings
from tests.server.dashboard.browsing import PAGE
from tests.services import write_settings

NOW = 1_764_000_000.0  # 2025-11-24, 16:00 UTC
RAW = re.compile(r"\b(FROM|JOIN) (decisions|feedback|calls|escalations|folded)\b")


def open_page(
    settings: Settings, path: str, look: Callable[[Router], Any] = lambda _: None
) -> httpx.Response:
    """The page; ``look`` gets the router before it is opened."""

    async def run() -> httpx.Response:
        documented = create_api(settings)
        async with documented.router.lifespan_context(documented):
            look(documented.state.router._router)
            transport = httpx.ASGITransport(assemble_app(documented))
            async with httpx.AsyncClient(transport=transport, base_url="http://r", headers=PAGE) as client:
                return await client.get(path)

    return asyncio.run(run())


def test_while_there_is_nothing_each_panel_says_how_to_fill_it(tmp_path: Path) -> None:
    page = open_page(load_settings(write_settings(tmp_path)), "/dashboard").text
    for hint in (
        "bandit-router route",
        "bandit-router savings",
        "DECISION_ID quality=0.9",
        "DECISION_ID cost_usd=0.0004",
        "DECISION_ID latency_s=1.4",
        "DECISION_ID satisfaction=1",
        "DECISION_ID error=0",
        "[cascade]\nenabled = true",
        "An arm needs 30 counted ones",
        "No caller of this window has named an arm",
        "The gateway has made no call",
        "--task invoices",
    ):
        assert hint in page, hint
    assert page.count("<svg") == 6 + 2  # the courses of the tiles, and the levels of two arms


def test_the_bare_address_leads_to_the_overview(tmp_path: Path) -> None:
    page = open_page(load_settings(write_settings(tmp_path)), "/")
    assert (page.status_code, page.headers["location"]) == (307, "/dashboard")


def test_what_callers_name_is_text_on_every_page(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    settings = load_settings(write_settings(tmp_path, router={"log_queries": True, "log_users": True}))
    with Router.open(settings) as router:
        decision = router.route(evil, user=evil, user_tier=evil, task=evil)
        router.feedback(decision.id, quality=1.0)
    for path in (
        "/dashboard?tier=<script>alert",
        "/dashboard/decisions",
        f"/dashboard/decisions/{decision.id}",
    ):
        page = open_page(settings, path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


def test_the_overview_reads_no_raw_table(tmp_path: Path) -> None:
    settings = load_settings(write_settings(tmp_path))
    with Router.open(settings) as router:
        decision = router.route("Why?")
        router.feedback(decision.id, quality=1.0)
    asked: list[str] = []

    def note(*given: Any) -> None:
        if "calls.outcome IS NULL" not in given[2]:  # the gateway looks for calls that killed workers left
            asked.append(given[2])

    def listen(router: Router) -> None:
        router._background.stop(5.0)  # which reads the log, as it must
        event.listen(router._store._engine, "before_cursor_execute", note)

    open_page(settings, "/dashboard?range=7d", listen)
    assert any("FROM rollups" in statement for statement in asked)
    assert [statement for statement in asked if RAW.search(statement)] == []
    open_page(settings, "/dashboard/decisions", listen)
    assert any(RAW.search(statement) for statement in asked)


@pytest.mark.parametrize(
    ("address", "hours", "step"),
    [
        ({}, 14 * 24, Step.DAY),
        ({"range": "24h"}, 24, Step.HOUR),
        ({"range": "7d", "step": "hour"}, 7 * 24, Step.HOUR),
        ({"range": "24h", "step": "day"}, 24, Step.DAY),
        ({"since": "2025-11-20", "until": "2025-11-21"}, 48, Step.HOUR),
        ({"since": "2025-11-20T06:00", "until": "2025-11-20T09:30"}, 4, Step.HOUR),
        ({"since": "2025-11-01", "until": "2025-11-20"}, 20 * 24, Step.DAY),
        ({"since": "2025-11-01T15:00", "step": "day"}, 24 * 24, Step.DAY),
        ({"range": "365d"}, 53 * 7 * 24, Step.WEEK),
        ({"since": "2025-11-20", "until": "2025-11-20", "step": "week"}, 7 * 24, Step.WEEK),
    ],
)
def test_a_window_is_of_whole_slots(address: dict[str, str], hours: int, step: Step) -> None:
    window = read_window(address, NOW)
    assert (window.end - window.first, window.step) == (hours, step)
    assert len(window.labels) == window.slots == hours // window.step_h
    assert window.first % step.hours == window.end % step.hours == 0
    if "until" not in address:
        assert NOW < window.end * 3600.0 <= NOW + 3600.0 * step.hours


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ({"range": "3y"}, "range"),
        ({"step": "month"}, "step"),
        ({"range": "90d", "step": "hour"}, "step"),
        ({"since": "2025-11-21", "until": "2025-11-20"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2025-02-30"}, "until"),
    ],
)
def test_a_window_that_there_is_not_is_refused(address: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        read_window(address, NOW)


def test_slots_have_the_names_of_their_beginnings() -> None:
    assert Window(first=0, end=48, step=Step.DAY).labels == ["1 Jan", "2 Jan"]
    assert Window(first=22, end=25, step=Step.HOUR).labels == ["1 Jan 22:00", "1 Jan 23:00", "2 Jan 00:00"]
