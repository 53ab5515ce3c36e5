"""Sphinx extension: three pages end with a reference that is generated from the code when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from command_line_reference import command_line_markdown
from http_reference import http_markdown
from settings_reference import settings_markdown
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PAGES: Mapping[str, Callable[[], str]] = {
    "reference/configuration": settings_markdown,
    "reference/http": http_markdown,
    "reference/command-line": command_line_markdown,
}
"""What is appended to a page, by the page's name."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", append_reference)
    app.connect("env-get-outdated", reread_references)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def append_reference(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the generated Markdown to a page of ``PAGES``."""
    del app
    if page in PAGES:
        source[0] = f"{source[0].rstrip()}\n\n{PAGES[page]()}"


def reread_references(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """The generated pages are always outdated: the code behind them may have changed."""
    del app, env, added, changed, removed
    return list(PAGES)
