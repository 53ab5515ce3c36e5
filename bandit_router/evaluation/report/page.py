"""One HTML page of results, to be opened anywhere, mailed, or kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.replay import ReplayResult
from bandit_router.evaluation.report.checks import calibration_plot, clip_plot
from bandit_router.evaluation.report.curves import curves_plot
from bandit_router.evaluation.report.document import document, figure, section, sentences, table, text
from bandit_router.evaluation.report.estimated import (
    arms_grid,
    calibration_grid,
    checks_grid,
    evaluation_grid,
    weights_grid,
)
from bandit_router.evaluation.report.front import front_plot
from bandit_router.evaluation.report.palette import FAINT, arm_look
from bandit_router.evaluation.report.played import simulation_grid
from bandit_router.evaluation.report.plot import Plot
from bandit_router.evaluation.report.points import estimated_points, played_points
from bandit_router.evaluation.report.refused import Refused, all_refused, require_estimator
from bandit_router.evaluation.report.replayed import replay_grid, replay_refusals
from bandit_router.evaluation.report.shares import estimated_shares, played_shares
from bandit_router.evaluation.report.verdicts import OVER_ORDERS, evaluation_verdicts, simulation_verdicts
from bandit_router.evaluation.report.words import clean, listed
from bandit_router.evaluation.simulation.simulate import Simulation

_FRONT = (
    "Up and to the left is better. Bars: 95% intervals. The dotted line is the best that a mix of fixed "
    "models buys without looking at the query. "
)


def evaluation_page(
    evaluation: Evaluation,
    estimator: str,
    *,
    title: str,
    left_out: Sequence[str] = (),
    replays: Mapping[str, Sequence[ReplayResult]] | None = None,
) -> str:
    """What a log says of every policy by one estimator, as one HTML page; refused figures are not shown.

    ``left_out`` are sentences on rows that were not looked at; ``replays`` are shown when there are any.
    Raises InvalidInput for an estimator that was not asked for, ConfigError without plotly.
    """
    require_estimator(evaluation, estimator)
    front = _estimated_front(evaluation, estimator)
    shares = estimated_shares(evaluation)
    clips, calibration = clip_plot(evaluation, estimator), calibration_plot(evaluation)
    verdicts = evaluation_verdicts(evaluation, estimator, force=False)
    body = [
        f'<p class="about">Estimated by {text(estimator)} from {evaluation.rows:,} logged rows over '
        f"{len(evaluation.arms)} arms; cost weight {evaluation.cost_weight:.4g} per USD.</p>",
        *([section("Verdict", sentences(verdicts, "verdicts"))] if verdicts else []),
        _refusals(evaluation, estimator),
        section("Policies and baselines", table(evaluation_grid(evaluation, estimator, force=False))),
        *([_replays(replays)] if replays else []),
        section(front.title, figure(front, headed=False)),
        section("Arms over time", _arm_key(evaluation.arms), _pair(shares)),
        section(
            "Can the log be believed?",
            table(checks_grid(evaluation)),
            _pair([clips, calibration]),
            *(table(grid(evaluation)) for grid in (weights_grid, arms_grid, calibration_grid)),
        ),
        *([section("Rows left out", sentences(left_out, "left-out"))] if left_out else []),
    ]
    return document(title, body, [front, *shares, clips, calibration])


def simulation_page(simulation: Simulation, *, title: str) -> str:
    """How every policy and baseline fared, as one HTML page. Raises ConfigError without plotly."""
    points = played_points(simulation)
    front = front_plot(points, simulation.arms, "quality", _FRONT + "Intervals are of means over seeds.")
    curves, shares = curves_plot(simulation), played_shares(simulation)
    verdicts = simulation_verdicts(simulation)
    note = OVER_ORDERS
    body = [
        f'<p class="about">{text(simulation.name)}: {simulation.seeds} random orders of '
        f"{simulation.queries:,} queries over {len(simulation.arms)} arms; cost weight "
        f"{simulation.cost_weight:.4g} per USD.</p>",
        *(
            [section("Verdict", sentences(verdicts, "verdicts"), f'<p class="note">{note}</p>')]
            if verdicts
            else []
        ),
        section("Policies and baselines", table(simulation_grid(simulation))),
        section(front.title, figure(front, headed=False)),
        section(curves.title, figure(curves, headed=False)),
        *([section("Arms over time", _arm_key(simulation.arms), _pair(shares))] if shares else []),
    ]
    return document(title, body, [front, curves, *shares])


def _estimated_front(evaluation: Evaluation, estimator: str) -> Plot:
    """Of quality, or of reward where the log has no quality to speak of."""
    outcome = "quality"
    points, missing = estimated_points(evaluation, estimator, outcome)
    if not points:
        outcome = "reward"
        points, missing = estimated_points(evaluation, estimator, outcome)
    left_out = f"Not drawn, because refused or unknown: {listed([clean(name) for name in missing])}."
    return front_plot(points, evaluation.arms, outcome, _FRONT + (left_out if missing else ""))


def _refusals(evaluation: Evaluation, estimator: str) -> str:
    found = all_refused(evaluation, estimator)
    if not found:
        return section("Refusals", f"<p>No figure of {text(estimator)} is refused.</p>")
    made = section("Refused: what this log cannot answer", *_reasons(found))
    return made.replace("<section>", '<section class="refusals">', 1)


def _replays(replays: Mapping[str, Sequence[ReplayResult]]) -> str:
    refused = replay_refusals(replays)
    return section("Replay", table(replay_grid(replays)), *(_reasons(refused) if refused else ()))


def _reasons(refused: Sequence[Refused]) -> list[str]:
    """A list of what is refused, why, and what would cure it."""
    items = (
        f"<li><b>{text(one.figures)}</b>: {text(one.reason)}. "
        f'<span class="cure">Cure: {text(one.cure)}.</span></li>'
        for one in refused
    )
    return ["<ul>", *items, "</ul>"]


def _pair(plots: Sequence[Plot]) -> str:
    return "\n".join(['<div class="pair">', *map(figure, plots), "</div>"])


def _arm_key(arms: Sequence[str]) -> str:
    """Which colour is which arm, on the whole page."""
    items = (f"<li>{_swatch(k)}{text(arm)}</li>" for k, arm in enumerate(arms))
    return "\n".join(['<ul class="arms" aria-label="colours of the arms">', *items, "</ul>"])


def _swatch(k: int) -> str:
    look = arm_look(k)
    marks = {"/": "M0 14L14 0", "x": "M0 14L14 0M0 0L14 14", ".": "M6 7h2", "-": "M0 7h14"}
    path = f'<path d="{marks[look.pattern]}" stroke="{FAINT}" stroke-width="2"/>' if look.pattern else ""
    return (
        f'<svg viewBox="0 0 14 14" aria-hidden="true"><rect width="14" height="14" fill="{look.colour}"/>'
        f"{path}</svg>"
    )
