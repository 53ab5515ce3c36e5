"""A self-contained HTML document: it makes no request, and its content security policy forbids any."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources

from bandit_router.errors import ConfigError
from bandit_router.evaluation.report.charts.plot import Plot
from bandit_router.evaluation.report.formatting import REFUSED, printable
from bandit_router.evaluation.report.grid import Grid, Row

_ALLOWED = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_CONFIG = {"displaylogo": False, "responsive": True, "displayModeBar": False}
_DRAW = """
for (const plot of JSON.parse(document.getElementById("plots").textContent))
  Plotly.newPlot(plot.id, plot.data, plot.layout, plot.config);
"""


def render_document(title: str, body: Sequence[str], plots: Sequence[Plot]) -> str:
    """The whole HTML document. The same title, body and plots give the same bytes."""
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
            f"<h1>{escape(title)}</h1>",
            *body,
            "</main>",
            f'<script type="application/json" id="plots">{_plots_as_json(plots)}</script>',
            f"<script>{_load_plotly_js()}</script>\n<script>{_DRAW}</script>\n</body>\n</html>\n",
        ]
    )


def escape(text: str) -> str:
    """The text escaped for HTML, without characters that are not printable."""
    return html.escape(printable(text))


def render_section(heading: str, *parts: str) -> str:
    """A section of the page: a heading, then its parts."""
    return "\n".join(["<section>", f"<h2>{escape(heading)}</h2>", *parts, "</section>"])


def render_sentences(items: Sequence[str], kind: str) -> str:
    """A list of sentences; ``kind`` is its CSS class."""
    return "\n".join([f'<ul class="{kind}">', *(f"<li>{escape(item)}</li>" for item in items), "</ul>"])


def render_plot(plot: Plot, *, headed: bool = True) -> str:
    """The element that a plot is drawn into, with its caption, and its heading if ``headed``."""
    return "\n".join(
        [
            f'<figure aria-label="{escape(plot.title)}">',
            "<figcaption>",
            *([f"<strong>{escape(plot.title)}</strong>"] if headed else []),
            f"{escape(plot.caption)}</figcaption>",
            f'<div id="{plot.id}" class="plot" style="height:{plot.height}px"></div>',
            "</figure>",
        ]
    )


def render_grid(grid: Grid) -> str:
    """The grid as an accessible HTML table."""
    heads = (f'<th scope="col"{_cell_class(i, grid)}>{escape(h)}</th>' for i, h in enumerate(grid.headings))
    return "\n".join(
        [
            f'<div class="wide"><table>\n<caption>{escape(grid.title)}</caption>',
            f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>",
            *(_render_row(row, grid) for row in grid.rows),
            "</tbody>\n</table></div>",
            *(f'<p class="note">{escape(note)}</p>' for note in grid.notes),
        ]
    )


def _render_row(row: Row, grid: Grid) -> str:
    first, *rest = row.cells
    cells = (f"<td{_cell_class(i, grid)}>{_render_cell(cell)}</td>" for i, cell in enumerate(rest, start=1))
    kinds = [kind for kind in ("indent", "strong", "last") if getattr(row, kind)]
    marked = f' class="{" ".join(kinds)}"' if kinds else ""
    return f'<tr{marked}><th scope="row">{escape(first)}</th>{"".join(cells)}</tr>'


def _render_cell(cell: str) -> str:
    """A cell as HTML, with its interval or spread set back."""
    if cell == REFUSED:
        return f'<span class="refused">{REFUSED}</span>'
    for opening in (" [", " ±"):
        head, separator, tail = cell.partition(opening)
        if separator:
            return f'{escape(head)} <span class="spread">{escape(separator.strip() + tail)}</span>'
    return escape(cell)


def _cell_class(column: int, grid: Grid) -> str:
    return "" if column < grid.left else ' class="number"'


def _plots_as_json(plots: Sequence[Plot]) -> str:
    data = [{"id": p.id, "data": p.data, "layout": p.layout, "config": _CONFIG} for p in plots]
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # a name with </script> would end the script


def _load_plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError:
        raise ConfigError("a page needs plotly: pip install 'bandit-router[evaluation]'") from None
    script: str = get_plotlyjs()
    return script
