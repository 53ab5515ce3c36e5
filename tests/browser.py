"""A real browser without a network: what a page comes to when it is opened, and what it looks like."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=10000",
)
_PATIENCE_S = 120.0


class Visit(NamedTuple):
    """The page after its scripts ran, what the console said, and where the screenshot is."""

    dom: str
    console: list[str]
    screenshot: Path


def open_page(html: str, where: Path, height: int = 3000) -> Visit:
    """The page as a file in Chromium, 1280 pixels wide; ``where`` is an empty folder to work in.

    Fails where there is no browser, since a page that nobody opened is not tested.
    """
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.fail(f"none of {', '.join(NAMES)} is installed: apt-get install -y chromium")
    page, picture = where / "page.html", where / "page.png"
    page.write_text(html, "utf-8")
    files = (f"--user-data-dir={where / 'profile'}", f"--screenshot={picture}", "--dump-dom")
    found = subprocess.run(
        [chromium, *_FLAGS, *files, f"--window-size=1280,{height}", page.as_uri()],
        capture_output=True,
        check=True,
        timeout=_PATIENCE_S,
        text=True,
    )
    return Visit(found.stdout, re.findall(r"CONSOLE.*", found.stderr), picture)
