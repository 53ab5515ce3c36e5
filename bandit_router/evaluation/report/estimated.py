"""The rows of an evaluation."""

from __future__ import annotations

from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.gate import PROPENSITY_TOLERANCE
from bandit_router.evaluation.report.grid import Grid, Row
from bandit_router.evaluation.report.order import BLIND, Place, Standing, places
from bandit_router.evaluation.report.words import REFUSED, UNKNOWN, as_shown, clean, interval

HEADINGS = ("policy", "reward [95%]", "quality [95%]", "USD/1k [95%]", "utility", "ESS")


def evaluation_places(evaluation: Evaluation) -> list[Place]:
    """The answers, in order of the table."""
    return places([Standing(q.name, q.role, q.of) for q in (a.question for a in evaluation.answers)])


def evaluation_grid(evaluation: Evaluation, estimator: str, *, force: bool) -> Grid:
    """Every policy beside every baseline; what is refused is not shown, unless forced."""
    best = evaluation.best_fixed(estimator)
    rows = []
    for place in evaluation_places(evaluation):
        answer = evaluation.answers[place.item]
        name = place.label + (" *" if answer is best else "")
        rows.append(
            Row(
                cells=(name, *_cells(evaluation, answer, estimator, force)),
                indent=place.indent,
                strong=answer.question.role == "policy",
                last=place.last,
            )
        )
    return Grid(
        title=f"{evaluation.rows:,} logged rows, estimated by {estimator}; "
        f"utility = reward − {evaluation.cost_weight:.4g} · USD",
        headings=HEADINGS,
        rows=tuple(rows),
        notes=_notes(evaluation, best),
    )


def _cells(evaluation: Evaluation, answer: Answer, estimator: str, force: bool) -> tuple[str, ...]:
    figures = (_figure(answer, estimator, outcome, force) for outcome in OUTCOMES)
    return (*figures, _utility(evaluation, answer, estimator, force), f"{ess(answer, estimator):,.0f}")


def _figure(answer: Answer, estimator: str, outcome: str, force: bool) -> str:
    refused = bool(answer.refused(estimator, outcome))
    found = answer.estimates[estimator][outcome]
    if refused and not force:
        return REFUSED
    if found is None:
        return UNKNOWN
    value, low, high, decimals = as_shown(found, outcome)
    return interval(value, low, high, decimals, "!" if refused else "")


def _utility(evaluation: Evaluation, answer: Answer, estimator: str, force: bool) -> str:
    refused = evaluation.refused(answer, estimator)
    value = evaluation.value(answer, estimator)
    if refused and not force:
        return REFUSED
    return UNKNOWN if value is None else f"{value:.4f}{'!' if refused else ''}"


def ess(answer: Answer, estimator: str) -> float:
    """Effective rows behind the reward, as this estimator weighs them."""
    found = answer.diagnostics.outcomes["reward"]
    return found.stabilised_ess if estimator == "stabilised-dr" else found.ess


def _notes(evaluation: Evaluation, best: Answer | None) -> tuple[str, ...]:
    roles = {answer.question.role for answer in evaluation.answers}
    notes = ["* the best fixed model in hindsight"]
    if best is None:
        notes = ["the log cannot tell which fixed model is best in hindsight"]
    if "blind mix" in roles:
        notes += BLIND
    elif "policy" in roles:
        notes.append("no blind baselines: the log cannot say what every arm earns and costs")
    return tuple(notes)


# -- the log itself -------------------------------------------------------------------------------


def checks_grid(evaluation: Evaluation) -> Grid:
    """What was checked of the log before anything was believed."""
    log = evaluation.answers[0].diagnostics
    furthest = max(evaluation.answers, key=lambda a: abs(a.diagnostics.mean_weight - 1.0))
    cells = (
        ("rows", f"{log.rows:,}", ""),
        ("smallest propensity", f"{log.smallest_propensity:.4g}", "above 0, by a floor"),
        ("propensity off the logged PMF", f"{log.propensity_gap:.3g}", f"at most {PROPENSITY_TOLERANCE:g}"),
        (
            "mean weight furthest from 1",
            f"{furthest.diagnostics.mean_weight:.3f}, of {clean(furthest.question.name)}",
            "1, up to noise",
        ),
        ("misfit of the logged PMF", f"{log.misfit:.2f}, of {clean(log.misfit_arm)}", "below 1"),
    )
    return Grid(
        title="Diagnostics of the log",
        headings=("check", "found", "should be"),
        rows=tuple(Row(cells=row) for row in cells),
        left=3,
    )


def arms_grid(evaluation: Evaluation) -> Grid:
    """How often each arm was taken, and the feedback that is missing."""
    arms = evaluation.answers[0].diagnostics.arms
    rows = [
        (clean(name), f"{arm.rows:,}", f"{arm.chosen:.1%}", f"{arm.claimed:.1%}",
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
    """What the reward model expected of each arm, and what was found."""
    arms = evaluation.answers[0].diagnostics.arms
    rows = []
    for name, arm in arms.items():
        pairs = [(o, arm.predicted[o], arm.observed[o]) for o in OUTCOMES]
        scaled = [(1000.0 if o == "cost_usd" else 1.0, p, v) for o, p, v in pairs]
        cells = (f"{_mean(k, p)} / {_mean(k, v)}" for k, p, v in scaled)
        rows.append(Row(cells=(clean(name), *cells)))
    return Grid(
        title="Calibration of the reward model: predicted / observed",
        headings=("arm", "reward", "quality", "USD/1k"),
        rows=tuple(rows),
    )


def _mean(scale: float, mean: float | None) -> str:
    return UNKNOWN if mean is None else f"{scale * mean:.3f}"


def weights_grid(evaluation: Evaluation) -> Grid:
    """How much of the log counts for each policy, for its reward."""
    rows = []
    for place in evaluation_places(evaluation):
        d = evaluation.answers[place.item].diagnostics
        found = d.outcomes["reward"]
        weight = f"{d.mean_weight:.3f}" + ("" if d.mean_weight_z is None else f" ({d.mean_weight_z:+.1f})")
        cells = (
            place.label, f"{found.ess:,.0f}", f"{found.ess_share:.1%}", f"{found.stabilised_ess:,.0f}",
            f"{found.largest_weight:.1f}", f"{found.largest_share:.1%}", weight, f"{found.unsupported:.1%}",
        )  # fmt: skip
        rows.append(Row(cells=cells, indent=place.indent, last=place.last))
    return Grid(
        title="Weights and effective sample size, for reward",
        headings=(
            "policy", "ESS", "of rows", "stabilised ESS", "largest weight", "its share", "mean weight (z)",
            "unsupported",
        ),
        rows=tuple(rows),
    )  # fmt: skip
