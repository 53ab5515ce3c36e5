"""A table as data, and how a terminal draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bandit_router.evaluation.report.formatting import REFUSED


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Cells of a row: ``indent`` sets it under the row above, ``strong`` is bold, ``last`` ends a group."""

    cells: tuple[str, ...]
    indent: bool = False
    strong: bool = False
    last: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Rows under headings: the first ``left`` columns are words, the rest numbers; ``notes`` go below."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    left: int = 1


def draw_grid(grid: Grid) -> Table:
    """The grid as a rich table for a terminal; names and intervals fold where the terminal is narrow."""
    table = Table(
        title=Text(grid.title, style="bold"),
        caption=Text("\n".join(grid.notes)) if grid.notes else None,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title_justify="left",
        caption_justify="left",
    )
    for i, heading in enumerate(grid.headings):
        table.add_column(Text(heading), justify="left" if i < grid.left else "right", overflow="fold")
    for row in grid.rows:
        first = Padding(Text(row.cells[0]), (0, 0, 0, 2 if row.indent else 0))
        rest = [Text(cell, style="red" if cell == REFUSED else "") for cell in row.cells[1:]]
        style = "bold" if row.strong else ("dim" if row.indent else "")
        table.add_row(first, *rest, style=style, end_section=row.last)
    return table


def draw_sentences(sentences: Sequence[str]) -> Group:
    """The sentences as bullets, with an empty line before and after."""
    return Group("", draw_bullets([Text(sentence) for sentence in sentences]), "")


def draw_bullets(lines: Sequence[Text]) -> Table:
    """The lines as bullets; long lines fold under their own beginning."""
    table = Table.grid(padding=(0, 1))
    for line in lines:
        table.add_row("•", line)
    return table
