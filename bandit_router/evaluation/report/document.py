"""An HTML document that needs nothing but itself: no request leaves it, and its policy forbids any."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources

from bandit_router.errors import ConfigError
from bandit_router.evaluation.report.grid import Grid, Row
from bandit_router.evaluation.report.plot import Plot
from bandit_router.evaluation.report.words import REFUSED, clean

_ALLOWED = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_CONFIG = {"displaylogo": False, "responsive": True, "displayModeBar": False}
_DRAW = """
for (const plot of JSON.parse(document.getElementById("plots").textContent))
  Plotly.newPlot(plot.id, plot.data, plot.layout, plot.config);
"""


def document(title: str, body: Sequence[str], plots: Sequence[Plot]) -> str:
    """The whole page. The same title, body and plots give the same bytes."""
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
            f"<h1>{text(title)}</h1>",
            *body,
            "</main>",
            f'<script type="application/json" id="plots">{_as_script(plots)}</script>',
            f"<script>{_plotly_js()}</script>\n<script>{_DRAW}</script>\n</body>\n</html>\n",
        ]
    )


def text(words: str) -> str:
    """Words as HTML shows them, whatever is in them."""
    return html.escape(clean(words))


def section(heading: str, *parts: str) -> str:
    """A heading with what belongs to it."""
    return "\n".join(["<section>", f"<h2>{text(heading)}</h2>", *parts, "</section>"])


def sentences(items: Sequence[str], kind: str) -> str:
    """A list of sentences; ``kind`` is its class."""
    return "\n".join([f'<ul class="{kind}">', *(f"<li>{text(item)}</li>" for item in items), "</ul>"])


def figure(plot: Plot, *, headed: bool = True) -> str:
    """The place of a plot, with what to see in it, and its heading unless the section has the same."""
    return "\n".join(
        [
            f'<figure aria-label="{text(plot.title)}">',
            "<figcaption>",
            *([f"<strong>{text(plot.title)}</strong>"] if headed else []),
            f"{text(plot.caption)}</figcaption>",
            f'<div id="{plot.id}" class="plot" style="height:{plot.height}px"></div>',
            "</figure>",
        ]
    )


def table(grid: Grid) -> str:
    """The grid as an accessible table."""
    heads = (f'<th scope="col"{_kind(i, grid)}>{text(h)}</th>' for i, h in enumerate(grid.headings))
    return "\n".join(
        [
            f'<div class="wide"><table>\n<caption>{text(grid.title)}</caption>',
            f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>",
            *(_table_row(row, grid) for row in grid.rows),
            "</tbody>\n</table></div>",
            *(f'<p class="note">{text(note)}</p>' for note in grid.notes),
        ]
    )


def _table_row(row: Row, grid: Grid) -> str:
    first, *rest = row.cells
    cells = (f"<td{_kind(i, grid)}>{_value(cell)}</td>" for i, cell in enumerate(rest, start=1))
    kinds = [kind for kind in ("indent", "strong", "last") if getattr(row, kind)]
    marked = f' class="{" ".join(kinds)}"' if kinds else ""
    return f'<tr{marked}><th scope="row">{text(first)}</th>{"".join(cells)}</tr>'


def _value(cell: str) -> str:
    """A cell, with its interval or spread set back."""
    if cell == REFUSED:
        return f'<span class="refused">{REFUSED}</span>'
    for opening in (" [", " ±"):
        head, found, tail = cell.partition(opening)
        if found:
            return f'{text(head)} <span class="spread">{text(found.strip() + tail)}</span>'
    return text(cell)


def _kind(column: int, grid: Grid) -> str:
    return "" if column < grid.left else ' class="number"'


def _as_script(plots: Sequence[Plot]) -> str:
    made = [{"id": p.id, "data": p.data, "layout": p.layout, "config": _CONFIG} for p in plots]
    found = json.dumps(made, allow_nan=False, separators=(",", ":"))
    return found.replace("<", "\\u003c")  # or a name could end the script


def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError:
        raise ConfigError("a page needs plotly: pip install 'bandit-router[evaluation]'") from None
    found: str = get_plotlyjs()
    return found
