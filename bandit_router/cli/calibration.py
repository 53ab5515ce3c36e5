"""`calibration`: recent rewards and costs beside what was expected of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from bandit_router.cli.connect import open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, print_json, print_line
from bandit_router.learning.drift import CalibrationReport, CostRatio, RewardGap
from bandit_router.validation import MOST_RECENT


def calibration(
    config: ConfigOption = DEFAULT_CONFIG,
    last: Annotated[int, typer.Option(min=1, max=MOST_RECENT, help="Number of newest rewards.")] = 2000,
    as_json: JsonOption = False,
) -> None:
    """Compare recent rewards and costs with what was expected. Exits 1 at an alarm."""
    with open_quiet_router(config) as router:
        report = router.calibration(last)
    if as_json:
        print_json(asdict(report))
    else:
        _print_calibration(report)
    if report.alarms or report.unlike_keys:
        raise typer.Exit(1)


def _print_calibration(report: CalibrationReport) -> None:
    table = Table("arm", "n", "reward", "expected", "difference", "z", "calls", "cost ×", "> 2 ×")
    for name, arm in {**report.arms, "all": report.total}.items():
        table.add_row(name, *_reward_cells(arm.reward), *_cost_cells(arm.cost))
    console.print(table)
    if report.warm_start is not None:
        print_line(f"by these rewards, the warm start is evidence of {report.warm_start}")
    if report.clamped_stamps:
        print_line(f"{report.clamped_stamps} times in the log were clamped, because a clock was wrong")
    for mark in report.ahead_of_now:
        print_line(f"{mark} lies ahead of now, because a clock was fast", style="red")
    for name in report.alarms:
        n, reward, expected, difference, z = _reward_cells(report.arms[name].widest)
        figures = f"{reward} on its newest {n} rewards, expected {expected}: {difference}, z = {z}"
        print_line(f"{name} has drifted: {figures}", style="red")
    for key in report.unlike_keys:
        gap = f"{key.difference:+.3f} on average over its newest {key.rewards}, z = {key.z:+.1f}"
        print_line(f"the rewards of key {key.key_id} are unlike the others': {gap}", style="red")
        print_line(f"  if they are wrong, run `bandit-router quarantine --key {key.key_id}`")


def _reward_cells(gap: RewardGap | None) -> list[str]:
    """Number of rewards, mean reward, mean expected, their difference, z."""
    if gap is None:
        return ["0", *[""] * 4]
    difference = f"{gap.difference:+.3f} ± {gap.standard_error:.3f}"
    means = f"{gap.mean_reward:.3f}", f"{gap.mean_expected:.3f}"
    return [str(gap.rewards), *means, difference, f"{gap.z:+.1f}"]


def _cost_cells(cost: CostRatio | None) -> list[str]:
    """Number of calls, cost over expected cost, share of calls at more than twice the expected cost."""
    return ["0", "", ""] if cost is None else [str(cost.calls), f"{cost.ratio:.2f}", f"{cost.twice:.1%}"]
