"""One service with two weeks of history and one browser for all tests of a module.

The browser ends with the module: its event loop would be in the way of others.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser import NAMES
from tests.server.dashboard.browsing import Visit
from tests.server.dashboard.world import World, make_world
from tests.services import serving

Open = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), now=time.time(), per_hour=2.0)


@pytest.fixture(scope="module")
def service_url(world: World) -> Iterator[str]:
    with serving(world.config) as service:
        yield service.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.fail("no Chromium is installed: apt-get install -y chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def visit(browser: Browser, service_url: str) -> Open:
    """Opens pages of the service; ``options`` are those of a browser's context."""

    @contextmanager
    def open_page(path: str, **options: Any) -> Iterator[Visit]:
        wide = {"viewport": {"width": 1280, "height": 900}}
        context = browser.new_context(base_url=service_url, **wide | options)
        visit = Visit(context.new_page(), service_url)
        response = visit.page.goto(path)
        assert response is not None
        assert response.status == 200, visit.page.content()
        try:
            yield visit
        finally:
            context.close()

    return open_page


@pytest.fixture(scope="module")
def overview(visit: Open) -> Iterator[Visit]:
    """The overview, to be read only."""
    with visit("/dashboard") as here:
        yield here
