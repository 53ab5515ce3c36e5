"""Tables of an evaluation: policies by one estimator, diagnostics of the log, its arms and weights."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.gate import PROPENSITY_TOLERANCE
from bandit_router.evaluation.report.contenders import BLIND_NOTES, evaluation_entries
from bandit_router.evaluation.report.formatting import (
    REFUSED,
    UNKNOWN,
    format_interval,
    printable,
    scale_for_table,
)
from bandit_router.evaluation.report.grid import Grid, Row, draw_bullets, draw_grid, draw_sentences
from bandit_router.evaluation.report.refusals import (
    FORCED,
    RefusedFigures,
    evaluation_refusals,
    require_estimator,
)
from bandit_router.evaluation.report.verdicts import evaluation_verdicts

HEADINGS = ("policy", "reward [95%]", "quality [95%]", "USD/1k [95%]", "utility", "ESS")


def evaluation_tables(evaluation: Evaluation, estimator: str, *, force: bool) -> list[RenderableType]:
    """Tables of an evaluation for a terminal: one estimator's figures, refusals, verdicts, checks.

    ``force`` shows refused figures too, marked. Raises InvalidInput for an estimator that was not computed.
    """
    require_estimator(evaluation, estimator)
    refused = evaluation_refusals(evaluation, estimator)
    tables: list[RenderableType] = [draw_grid(evaluation_grid(evaluation, estimator, force=force))]
    if refused:
        tables.append(_draw_refusals(refused, force=force))
    verdicts = evaluation_verdicts(evaluation, estimator, force=force)
    tables += [draw_sentences(verdicts)] if verdicts else []
    grids = (checks_grid(evaluation), arms_grid(evaluation), calibration_grid(evaluation))
    return [*tables, *(draw_grid(grid) for grid in grids)]


def _draw_refusals(refused: Sequence[RefusedFigures], *, force: bool) -> Group:
    heading = Text(FORCED if force else "Refused:", style="bold red")
    lines = [
        Text.assemble((figures.figures, "bold"), f": {figures.reason}. Cure: {figures.cure}.")
        for figures in refused
    ]
    return Group("", heading, draw_bullets(lines))


def evaluation_grid(evaluation: Evaluation, estimator: str, *, force: bool) -> Grid:
    """Every policy beside every baseline, by one estimator; refused figures are shown only with ``force``."""
    best = evaluation.best_fixed(estimator)
    rows = []
    for entry in evaluation_entries(evaluation):
        answer = evaluation.answers[entry.position]
        name = entry.label + (" *" if answer is best else "")
        rows.append(
            Row(
                cells=(name, *_answer_cells(evaluation, answer, estimator, force)),
                indent=entry.indent,
                strong=answer.question.role == "policy",
                last=entry.last,
            )
        )
    return Grid(
        title=f"{evaluation.rows:,} logged rows, estimated by {estimator}; "
        f"utility = reward − {evaluation.cost_weight:.4g} · USD",
        headings=HEADINGS,
        rows=tuple(rows),
        notes=_notes(evaluation, best),
    )


def _answer_cells(evaluation: Evaluation, answer: Answer, estimator: str, force: bool) -> tuple[str, ...]:
    figures = (_figure_cell(answer, estimator, outcome, force) for outcome in OUTCOMES)
    return (
        *figures,
        _utility_cell(evaluation, answer, estimator, force),
        f"{effective_rows(answer, estimator):,.0f}",
    )


def _figure_cell(answer: Answer, estimator: str, outcome: str, force: bool) -> str:
    refused = bool(answer.refused(estimator, outcome))
    figure = answer.estimates[estimator][outcome]
    if refused and not force:
        return REFUSED
    if figure is None:
        return UNKNOWN
    value, low, high, decimals = scale_for_table(figure, outcome)
    return format_interval(value, low, high, decimals, "!" if refused else "")


def _utility_cell(evaluation: Evaluation, answer: Answer, estimator: str, force: bool) -> str:
    refused = evaluation.refused(answer, estimator)
    value = evaluation.value(answer, estimator)
    if refused and not force:
        return REFUSED
    return UNKNOWN if value is None else f"{value:.4f}{'!' if refused else ''}"


def effective_rows(answer: Answer, estimator: str) -> float:
    """Effective sample size behind the reward, by this estimator's weights."""
    reward = answer.diagnostics.outcomes["reward"]
    return reward.stabilised_ess if estimator == "stabilised-dr" else reward.ess


def _notes(evaluation: Evaluation, best: Answer | None) -> tuple[str, ...]:
    roles = {answer.question.role for answer in evaluation.answers}
    notes = ["* the best fixed model in hindsight"]
    if best is None:
        notes = ["the log cannot tell which fixed model is best in hindsight"]
    if "blind mix" in roles:
        notes += BLIND_NOTES
    elif "policy" in roles:
        notes.append("no blind baselines: the log cannot say what every arm earns and costs")
    return tuple(notes)


def checks_grid(evaluation: Evaluation) -> Grid:
    """The diagnostics of the log, each beside the value it should have."""
    log = evaluation.answers[0].diagnostics
    furthest = max(evaluation.answers, key=lambda a: abs(a.diagnostics.mean_weight - 1.0))
    cells = (
        ("rows", f"{log.rows:,}", ""),
        ("smallest propensity", f"{log.smallest_propensity:.4g}", "above 0, by a floor"),
        ("propensity off the logged PMF", f"{log.propensity_gap:.3g}", f"at most {PROPENSITY_TOLERANCE:g}"),
        (
            "mean weight furthest from 1",
            f"{furthest.diagnostics.mean_weight:.3f}, of {printable(furthest.question.name)}",
            "1, up to noise",
        ),
        ("misfit of the logged PMF", f"{log.misfit:.2f}, of {printable(log.misfit_arm)}", "below 1"),
    )
    return Grid(
        title="Diagnostics of the log",
        headings=("check", "found", "should be"),
        rows=tuple(Row(cells=row) for row in cells),
        left=3,
    )


def arms_grid(evaluation: Evaluation) -> Grid:
    """How often each arm was chosen in the log, and the feedback that is missing."""
    arms = evaluation.answers[0].diagnostics.arms
    rows = [
        (printable(name), f"{arm.rows:,}", f"{arm.chosen:.1%}", f"{arm.claimed:.1%}",
         *(f"{arm.missing[outcome]:.1%}" if arm.rows else UNKNOWN for outcome in OUTCOMES))
        for name, arm in arms.items()
    ]  # fmt: skip
    return Grid(
        title="Arms in the log, and the feedback that is missing",
        headings=("arm", "rows", "chosen", "promised", "no reward", "no quality", "no cost"),
        rows=tuple(Row(cells=row) for row in rows),
        notes=("promised: the share the logged PMF gave the arm",),
    )


def calibration_grid(evaluation: Evaluation) -> Grid:
    """Predicted and observed means of each arm: the calibration of the reward model."""
    arms = evaluation.answers[0].diagnostics.arms
    rows = []
    for name, arm in arms.items():
        pairs = [(o, arm.predicted[o], arm.observed[o]) for o in OUTCOMES]
        scaled = [(1000.0 if o == "cost_usd" else 1.0, p, v) for o, p, v in pairs]
        cells = (f"{_mean_cell(k, p)} / {_mean_cell(k, v)}" for k, p, v in scaled)
        rows.append(Row(cells=(printable(name), *cells)))
    return Grid(
        title="Calibration of the reward model: predicted / observed",
        headings=("arm", "reward", "quality", "USD/1k"),
        rows=tuple(rows),
    )


def _mean_cell(scale: float, mean: float | None) -> str:
    return UNKNOWN if mean is None else f"{scale * mean:.3f}"


def weights_grid(evaluation: Evaluation) -> Grid:
    """Importance weights and effective sample size of each policy, for its reward."""
    rows = []
    for entry in evaluation_entries(evaluation):
        diagnostics = evaluation.answers[entry.position].diagnostics
        reward, z = diagnostics.outcomes["reward"], diagnostics.mean_weight_z
        weight = f"{diagnostics.mean_weight:.3f}" + ("" if z is None else f" ({z:+.1f})")
        cells = (
            entry.label, f"{reward.ess:,.0f}", f"{reward.ess_share:.1%}", f"{reward.stabilised_ess:,.0f}",
            f"{reward.largest_weight:.1f}", f"{reward.largest_share:.1%}", weight,
            f"{reward.unsupported:.1%}",
        )  # fmt: skip
        rows.append(Row(cells=cells, indent=entry.indent, last=entry.last))
    return Grid(
        title="Weights and effective sample size, for reward",
        headings=(
            "policy", "ESS", "of rows", "stabilised ESS", "largest weight", "its share", "mean weight (z)",
            "unsupported",
        ),
        rows=tuple(rows),
    )  # fmt: skip
