"""Sphinx extension: pages get their reference from the code, at the mark ``<!-- generated -->``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from command_line_reference import command_line_markdown
from http_reference import http_markdown
from library_reference import router_markdown
from settings_reference import settings_markdown
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PAGES: Mapping[str, Callable[[], str]] = {
    "reference/configuration": settings_markdown,
    "reference/http": http_markdown,
    "reference/command-line": command_line_markdown,
    "reference/library": router_markdown,
}
"""What is put at the mark, by the page's name."""

MARK = "<!-- generated -->"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", insert_reference)
    app.connect("env-get-outdated", reread_references)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def insert_reference(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the mark on a page of ``PAGES`` by the generated Markdown."""
    del app
    if page in PAGES:
        before, _, after = source[0].partition(MARK)
        source[0] = before + PAGES[page]() + after


def reread_references(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """The generated pages are always outdated: the code behind them may have changed."""
    del app, env, added, changed, removed
    return list(PAGES)
