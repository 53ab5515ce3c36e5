"""What a browser sends, and what it says of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Page

PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
"""What a browser sends with a request for a page."""

_WATCH_POLICY = """
window.faults = 0;
addEventListener("securitypolicyviolation", event => {
  window.faults += 1;
  console.error("policy: " + event.violatedDirective + " " + event.blockedURI);
});
"""


class Visit:
    """An open page with all that the console said of it and every address it asked for elsewhere."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.console: list[str] = []
        self.elsewhere: list[str] = []
        page.add_init_script(_WATCH_POLICY)
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(url) else self.elsewhere.append(request.url),
        )

    @property
    def width(self) -> int:
        """How wide the content is, pixels."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth")
        return width

    def table(self, panel: str, nth: int = 0) -> list[dict[str, Any]]:
        """The rows of the nth table of a panel, by the names of its columns: numbers exact, else texts."""
        rows: list[dict[str, Any]] = self.page.evaluate(_READ_TABLE, [f"#{panel} table", nth])
        return rows

    def row(self, panel: str, name: str, nth: int = 0) -> Mapping[str, Any]:
        """The row of that name."""
        return next(row for row in self.table(panel, nth) if next(iter(row.values())) == name)


_READ_TABLE = """
([selector, nth]) => {
  const table = document.querySelectorAll(selector)[nth];
  const head = [...table.querySelectorAll("thead th")].map(th => th.textContent.trim());
  return [...table.querySelectorAll("tbody tr")].map(tr => Object.fromEntries(
    [...tr.children].map((cell, i) => {
      const data = cell.querySelector("data");
      if (!data) return [head[i], cell.textContent.trim()];
      return [head[i], data.value === "" ? null : Number(data.value)];
    })));
}
"""
