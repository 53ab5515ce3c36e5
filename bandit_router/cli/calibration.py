"""The command that says how often what is learned is wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    out,
    print_json,
    quiet_router,
    say,
)
from bandit_router.learning.drift import Gap, Spread


def calibration(
    config: ConfigOption = DEFAULT_CONFIG,
    last: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many of the newest rewards.")] = 2000,
    as_json: JsonOption = False,
) -> None:
    """Recent rewards and costs beside what was expected of them. Exits 1 when an arm has drifted."""
    with quiet_router(config) as router:
        found = router.calibration(last)
    if as_json:
        print_json(asdict(found))
    else:
        table = Table("arm", "n", "reward", "expected", "difference", "z", "calls", "cost ×", "> 2 ×")
        for name, row in {**found.arms, "all": found.total}.items():
            table.add_row(name, *_reward(row.reward), *_cost(row.cost))
        out.print(table)
        if found.warm_start is not None:
            say(f"by these rewards, the warm start is evidence of {found.warm_start}")
        for arm in found.alarms:
            n, reward, expected, difference, z = _reward(found.arms[arm].widest)
            what = f"{reward} on its newest {n} rewards, expected {expected}: {difference}, z = {z}"
            say(f"{arm} has drifted: {what}", style="red")
    if found.alarms:
        raise typer.Exit(1)


def _reward(gap: Gap | None) -> list[str]:
    """How many rewards, and how they compare."""
    if gap is None:
        return ["0", *[""] * 4]
    difference = f"{gap.difference:+.3f} ± {gap.standard_error:.3f}"
    means = f"{gap.mean_reward:.3f}", f"{gap.mean_expected:.3f}"
    return [str(gap.rewards), *means, difference, f"{gap.z:+.1f}"]


def _cost(cost: Spread | None) -> list[str]:
    """How many calls, and how their costs compare."""
    return ["0", "", ""] if cost is None else [str(cost.calls), f"{cost.ratio:.2f}", f"{cost.twice:.1%}"]
