"""Parts that all charts share: the Plot handed to plotly.js, its axes, layout and legend."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bandit_router.evaluation.report.charts.palette import FAINT, GREY, INK
from bandit_router.evaluation.report.formatting import printable, shorten

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"
Trace = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A plot: the ``id`` of its element, its heading, caption, traces and layout; ``height`` in pixels."""

    id: str
    title: str
    caption: str
    data: Sequence[Trace]
    layout: dict[str, Any]
    height: int = 440


def escape_label(name: str) -> str:
    """The name escaped for plotly, which reads labels as HTML."""
    return html.escape(printable(name), quote=False)


def legend_name(name: str) -> str:
    """The name shortened to fit a legend and escaped; the hover text has the whole name."""
    return html.escape(shorten(name), quote=False)


def shuffled_legend_name(policy: str) -> str:
    """The legend's name for a policy's choices dealt to other queries."""
    return f"{html.escape(shorten(policy, 20), quote=False)}, shuffled"


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with faint lines."""
    defaults = {
        "title": {"text": title, "font": {"size": 13}, "standoff": 10},
        "gridcolor": FAINT,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        "automargin": True,
    }
    return defaults | more


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plain layout with the legend to the right of the plot, never over it."""
    defaults = {
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
    return defaults | more


def legend_group(name: str) -> dict[str, Any]:
    """The fields of a trace that put it under a group's title in the legend."""
    return {"legendgroup": name, "legendgrouptitle": {"text": name, "font": {"size": 12, "color": GREY}}}
