"""The panel of savings: against which model, how much, at which quality; or why it is not said."""

from __future__ import annotations

from bandit_router.insight.intervals import Estimate
from bandit_router.insight.savings import Saving, Savings
from bandit_router.server.dashboard.formats import (
    format_count,
    format_day,
    format_score,
    format_time,
    format_usd,
)
from bandit_router.server.dashboard.panels.over_time import show_estimate
from bandit_router.server.dashboard.panels.panel import Cell, Hint, Panel, Table

_TITLE = "Savings at equal quality"
_HEAD = ("Against", "Model", "Saved a request", "Quality above the model's", "Stated")


def make_savings_panel(savings: Savings | None) -> Panel:
    """The newest estimate, whatever the filters of the page."""
    if savings is None:
        text = "Nothing is estimated yet. The service does so once in insight.savings_interval_s; see it now:"
        return Panel(id="savings", title=_TITLE, hint=Hint(text, "bandit-router savings"), wide=True)
    note = (
        f"Estimated {format_time(savings.made_at)} from the {format_count(savings.rows)} newest decisions of "
        f"the policy since {format_day(savings.since)}; filters do not apply. A saving is stated only where "
        f"quality is lower by less than {format_score(savings.margin)}. "
        "The savings of two lines do not add up."
    )
    table = Table(name=_TITLE, head=_HEAD, rows=[_describe_saving(saving) for saving in savings.savings])
    return Panel(id="savings", title=_TITLE, note=note, tables=[table], wide=True)


def _describe_saving(saving: Saving) -> tuple[Cell, ...]:
    stated = "yes" if saving.refusal is None else f"no: {saving.refusal}. To cure it, {saving.cure}."
    return (
        saving.baseline.label,
        saving.arm or "",
        show_estimate(saving.usd_per_request or Estimate(0), format_usd),
        show_estimate(saving.quality or Estimate(0), format_score),
        stated,
    )
