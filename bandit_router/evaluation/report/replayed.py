"""What a replay came to, and what of a log was not looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.table import Table

from bandit_router.evaluation.logs.left_out import LeftOut
from bandit_router.evaluation.partition import OUTCOMES
from bandit_router.evaluation.replay import Replayed

_LEAST = 50
"""Fewest events in a replay that is worth a number, as for the gate's effective rows."""


def replay_table(replays: Mapping[str, Sequence[Replayed]]) -> Table:
    """A row for each policy: events retained and mean outcomes, over its replays."""
    table = Table(
        title="Replay: each policy learning from nothing, on events it would have made", box=box.SIMPLE_HEAD
    )
    table.add_column("policy", overflow="fold")
    for heading in ("events", "retained", *OUTCOMES):
        table.add_column(heading, justify="right")
    for name, runs in replays.items():
        retained = np.mean([run.retained for run in runs])
        cells = [_spread([f.value for run in runs if (f := run.figures[outcome])]) for outcome in OUTCOMES]
        if retained < _LEAST:
            cells = ["too few events"] + [""] * (len(OUTCOMES) - 1)
        table.add_row(name, f"{runs[0].events}", f"{retained:.0f}", *cells)
    return table


def left_out_lines(left_out: Mapping[str, LeftOut]) -> list[str]:
    """What was not looked at, and the first ids of it."""
    return [
        f"not evaluated: {some.count} rows, {why} (first: {', '.join(some.ids)})"
        for why, some in left_out.items()
    ]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{np.mean(values):.4g} ± {np.std(values):.2g}"
