"""One HTML page of an evaluation, a simulation or a trained classifier, to open anywhere, mail, or keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.replay import ReplayResult
from bandit_router.evaluation.report.charts.classifier import reliability_plot, threshold_plot
from bandit_router.evaluation.report.charts.cost_quality import (
    cost_quality_plot,
    evaluation_points,
    simulation_points,
)
from bandit_router.evaluation.report.charts.diagnostics import calibration_plot, clip_plot
from bandit_router.evaluation.report.charts.over_time import (
    evaluation_share_plots,
    learning_curves_plot,
    simulation_share_plots,
)
from bandit_router.evaluation.report.charts.palette import FAINT, arm_look
from bandit_router.evaluation.report.charts.plot import Plot
from bandit_router.evaluation.report.classifier_tables import (
    classifier_metrics_grid,
    classifier_routing_grid,
    describe_training,
)
from bandit_router.evaluation.report.evaluation_tables import (
    arms_grid,
    calibration_grid,
    checks_grid,
    evaluation_grid,
    weights_grid,
)
from bandit_router.evaluation.report.formatting import join_names, printable
from bandit_router.evaluation.report.html import (
    escape,
    render_document,
    render_grid,
    render_plot,
    render_section,
    render_sentences,
)
from bandit_router.evaluation.report.refusals import (
    RefusedFigures,
    evaluation_refusals,
    replay_refusals,
    require_estimator,
)
from bandit_router.evaluation.report.replay_tables import replay_grid
from bandit_router.evaluation.report.simulation_tables import simulation_grid
from bandit_router.evaluation.report.verdicts import (
    OVER_ORDERS,
    classifier_verdicts,
    evaluation_verdicts,
    simulation_verdicts,
)
from bandit_router.evaluation.simulation.simulate import Simulation
from bandit_router.evaluation.training.train import TrainedClassifier

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
    """One HTML page of an evaluation by one estimator; refused figures are not shown.

    ``left_out`` are sentences on rows that were not evaluated; ``replays`` get a section if there are any.
    Raises InvalidInput for an estimator that was not computed, ConfigError without plotly.
    """
    require_estimator(evaluation, estimator)
    front = _evaluation_cost_quality(evaluation, estimator)
    shares = evaluation_share_plots(evaluation)
    clips, calibration = clip_plot(evaluation, estimator), calibration_plot(evaluation)
    verdicts = evaluation_verdicts(evaluation, estimator, force=False)
    policies = evaluation_grid(evaluation, estimator, force=False)
    body = [
        f'<p class="about">Estimated by {escape(estimator)} from {evaluation.rows:,} logged rows over '
        f"{len(evaluation.arms)} arms; cost weight {evaluation.cost_weight:.4g} per USD.</p>",
        *([render_section("Verdict", render_sentences(verdicts, "verdicts"))] if verdicts else []),
        _refusals_section(evaluation, estimator),
        render_section("Policies and baselines", render_grid(policies)),
        *([_replay_section(replays)] if replays else []),
        render_section(front.title, render_plot(front, headed=False)),
        _shares_section(evaluation.arms, shares),
        render_section(
            "Can the log be believed?",
            render_grid(checks_grid(evaluation)),
            _render_pair([clips, calibration]),
            *(render_grid(grid(evaluation)) for grid in (weights_grid, arms_grid, calibration_grid)),
        ),
        *([render_section("Rows left out", render_sentences(left_out, "left-out"))] if left_out else []),
    ]
    return render_document(title, body, [front, *shares, clips, calibration])


def simulation_page(simulation: Simulation, *, title: str) -> str:
    """One HTML page of a simulation: every policy and baseline. Raises ConfigError without plotly."""
    points = simulation_points(simulation)
    caption = _FRONT + "Intervals are of means over seeds."
    front = cost_quality_plot(points, simulation.arms, "quality", caption)
    curves, shares = learning_curves_plot(simulation), simulation_share_plots(simulation)
    verdicts = simulation_verdicts(simulation)
    body = [
        f'<p class="about">{escape(simulation.name)}: {simulation.seeds} random orders of '
        f"{simulation.queries:,} queries over {len(simulation.arms)} arms; cost weight "
        f"{simulation.cost_weight:.4g} per USD.</p>",
        *([_verdict_section(verdicts)] if verdicts else []),
        render_section("Policies and baselines", render_grid(simulation_grid(simulation))),
        render_section(front.title, render_plot(front, headed=False)),
        render_section(curves.title, render_plot(curves, headed=False)),
        *([_shares_section(simulation.arms, shares)] if shares else []),
    ]
    return render_document(title, body, [front, curves, *shares])


def _evaluation_cost_quality(evaluation: Evaluation, estimator: str) -> Plot:
    """The chart of quality by cost, or of reward by cost if every figure of quality is refused or unknown."""
    outcome = "quality"
    points, missing = evaluation_points(evaluation, estimator, outcome)
    if not points:
        outcome = "reward"
        points, missing = evaluation_points(evaluation, estimator, outcome)
    left_out = f"Not drawn, because refused or unknown: {join_names([printable(name) for name in missing])}."
    return cost_quality_plot(points, evaluation.arms, outcome, _FRONT + (left_out if missing else ""))


def _refusals_section(evaluation: Evaluation, estimator: str) -> str:
    refusals = evaluation_refusals(evaluation, estimator)
    if not refusals:
        return render_section("Refusals", f"<p>No figure of {escape(estimator)} is refused.</p>")
    section = render_section("Refused: what this log cannot answer", *_render_refusals(refusals))
    return section.replace("<section>", '<section class="refusals">', 1)


def _verdict_section(verdicts: Sequence[str]) -> str:
    note = f'<p class="note">{OVER_ORDERS}</p>'
    return render_section("Verdict", render_sentences(verdicts, "verdicts"), note)


def _shares_section(arms: Sequence[str], shares: Sequence[Plot]) -> str:
    return render_section("Arms over time", _render_arm_key(arms), _render_pair(shares))


def _replay_section(replays: Mapping[str, Sequence[ReplayResult]]) -> str:
    refused = replay_refusals(replays)
    reasons = _render_refusals(refused) if refused else []
    return render_section("Replay", render_grid(replay_grid(replays)), *reasons)


def _render_refusals(refused: Sequence[RefusedFigures]) -> list[str]:
    """A list of refused figures, each with its reason and its cure."""
    items = (
        f"<li><b>{escape(figures.figures)}</b>: {escape(figures.reason)}. "
        f'<span class="cure">Cure: {escape(figures.cure)}.</span></li>'
        for figures in refused
    )
    return ["<ul>", *items, "</ul>"]


def _render_pair(plots: Sequence[Plot]) -> str:
    return "\n".join(['<div class="pair">', *map(render_plot, plots), "</div>"])


def _render_arm_key(arms: Sequence[str]) -> str:
    """The key of the arms' colours, for the whole page."""
    items = (f"<li>{_render_swatch(k)}{escape(arm)}</li>" for k, arm in enumerate(arms))
    return "\n".join(['<ul class="arms" aria-label="colours of the arms">', *items, "</ul>"])


def _render_swatch(k: int) -> str:
    look = arm_look(k)
    marks = {"/": "M0 14L14 0", "x": "M0 14L14 0M0 0L14 14", ".": "M6 7h2", "-": "M0 7h14"}
    path = f'<path d="{marks[look.pattern]}" stroke="{FAINT}" stroke-width="2"/>' if look.pattern else ""
    return (
        f'<svg viewBox="0 0 14 14" aria-hidden="true"><rect width="14" height="14" fill="{look.colour}"/>'
        f"{path}</svg>"
    )


def classifier_page(trained: TrainedClassifier, *, title: str) -> str:
    """One HTML page of a classifier: verdicts, tables and charts. Raises ConfigError without plotly."""
    calibration, routing = reliability_plot(trained), threshold_plot(trained)
    body = [
        f'<p class="about">{escape(describe_training(trained))}</p>',
        render_section("Verdict", render_sentences(classifier_verdicts(trained), "verdicts")),
        render_section("On queries it has not seen", render_grid(classifier_metrics_grid(trained))),
        render_section(calibration.title, render_plot(calibration, headed=False)),
        render_section("What it does to the traffic", render_grid(classifier_routing_grid(trained))),
        render_section(routing.title, render_plot(routing, headed=False)),
    ]
    return render_document(title, body, [calibration, routing])
