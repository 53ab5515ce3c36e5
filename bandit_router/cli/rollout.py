"""`rollout`: how the policy does beside the one that decides today, a step on, and the way back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from bandit_router.cli.command import App
from bandit_router.cli.connect import open_existing_store, open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, format_time, print_json, print_line
from bandit_router.evaluation.rollout_sample import AnytimeInterval, BranchMeans, RolloutComparison
from bandit_router.insight.rollout import OUTCOMES, RolloutStatus, rollout_facts
from bandit_router.insight.rollout_estimate import observe_rollout
from bandit_router.settings import load_settings
from bandit_router.types import RolloutStage

_DIGITS = {"quality": "+.4f", "cost_usd": "+.6f", "utility": "+.4f"}

app = App(help="Let the policy take over from the one that decides today, a step at a time.")


@app.command("status")
def show_status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Compare the candidate with the incumbent, by intervals that may be looked at every day."""
    with open_existing_store(config) as store:
        status = observe_rollout(store, load_settings(config).rollout)
    print_json(rollout_facts(status)) if as_json else _print_status(status)


@app.command("advance")
def advance(
    to: Annotated[
        float | None, typer.Option("--to", help="Share of traffic, 0 to 1; the next step by default.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Give the candidate the next share of traffic; workers follow within a second."""
    with open_quiet_router(config) as router:
        _print_stage(router.advance_rollout(to), as_json)


@app.command("abort")
def abort(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Give all traffic back to the incumbent; workers follow within a second."""
    with open_quiet_router(config) as router:
        _print_stage(router.abort_rollout(), as_json)


def _print_stage(stage: RolloutStage, as_json: bool) -> None:
    if as_json:
        print_json(stage._asdict())
    else:
        print_line(f"stage {stage.id}: the candidate decides {stage.share:.4g} of the traffic")


def _print_status(status: RolloutStatus) -> None:
    stage = status.stage
    print_line(f"incumbent  {status.incumbent}")
    print_line(f"candidate  {status.candidate}")
    print_line(f"stage {stage.id}: share {stage.share:.4g} by {status.unit} since {format_time(stage.since)}")
    expected = status.expectation
    if expected is not None and stage.share == 0.0:
        print_line(
            f"expected of the candidate, without evidence: the same model on {expected.agreement:.1%} of "
            f"{expected.n} requests, quality {expected.quality:+.4f}, cost {expected.cost_usd:+.6f} USD"
        )
    table = Table("candidate − incumbent", "observations", "difference", "interval at any time")
    for title, comparison in (("this stage", status.at_stage), ("all stages", status.over_all)):
        for outcome in OUTCOMES:
            interval: AnytimeInterval | None = getattr(comparison, outcome)
            if interval is not None:
                table.add_row(f"{outcome}, {title}", str(interval.n), *_format(interval, outcome))
    if table.row_count:
        console.print(table)
        _print_branches(status.over_all)
    print_line(f"{status.waiting} requests of this stage have not had their usual time to be rated")
    advice = status.recommendation
    print_line(f"{advice.action}: {advice.why}")
    if advice.requests is not None:
        in_days = "" if advice.days is None else f", {advice.days:.1f} days at the present rate"
        print_line(f"about {advice.requests} more rated observations are needed{in_days}")


def _print_branches(comparison: RolloutComparison) -> None:
    for name in ("incumbent", "candidate"):
        means: BranchMeans = getattr(comparison, name)
        quality = "–" if means.quality is None else f"{means.quality:.4f}"
        print_line(f"{name}: {means.requests} requests, {means.rated} of them rated, mean reward {quality}")


def _format(interval: AnytimeInterval, outcome: str) -> tuple[str, str]:
    digits = _DIGITS[outcome]
    return f"{interval.value:{digits}}", f"{interval.low:{digits}} … {interval.high:{digits}}"
