"""What every plot has in common. A plot is what plotly.js is given: traces and a layout, in JSON types."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bandit_router.evaluation.report.palette import FAINT, GREY, INK
from bandit_router.evaluation.report.words import clean, shorten

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"

Trace = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A plot with its place on the page (``id``), a heading and what to see in it; ``height`` in pixels."""

    id: str
    title: str
    caption: str
    data: Sequence[Trace]
    layout: dict[str, Any]
    height: int = 440


def escaped(name: str) -> str:
    """The name as plotly shows it, which takes labels for HTML."""
    return html.escape(clean(name), quote=False)


def legend_name(name: str) -> str:
    """The name cut to what a legend has room for; the whole one belongs in the hover text."""
    return html.escape(shorten(name), quote=False)


def shuffled_name(policy: str) -> str:
    """What a policy's choices dealt to other queries are called in a legend."""
    return f"{html.escape(shorten(policy, 20), quote=False)}, shuffled"


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with faint lines."""
    usual = {
        "title": {"text": title, "font": {"size": 13}, "standoff": 10},
        "gridcolor": FAINT,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        "automargin": True,
    }
    return usual | more


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plain layout with the legend to the right of the plot, never over it."""
    usual = {
        "xaxis": x,
        "yaxis": y,
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 64, "r": 16, "t": 12, "b": 56},
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "white", "font": {"color": INK}},
        "legend": {
            "x": 1.02, "xanchor": "left", "y": 1.0, "yanchor": "top",
            "font": {"size": 12}, "itemsizing": "trace", "tracegroupgap": 12,
        },
    }  # fmt: skip
    return usual | more


def group(name: str) -> dict[str, Any]:
    """Traces that stand together in the legend, under a title."""
    return {"legendgroup": name, "legendgrouptitle": {"text": name, "font": {"size": 12, "color": GREY}}}
