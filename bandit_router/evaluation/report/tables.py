"""Results for a terminal, in 100 columns; they fold at 80."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.report.estimated import (
    arms_grid,
    calibration_grid,
    checks_grid,
    evaluation_grid,
)
from bandit_router.evaluation.report.grid import draw
from bandit_router.evaluation.report.played import simulation_grid
from bandit_router.evaluation.report.refused import FORCED, Refused, all_refused, require_estimator
from bandit_router.evaluation.report.verdicts import OVER_ORDERS, evaluation_verdicts, simulation_verdicts
from bandit_router.evaluation.simulation.simulate import Simulation


def evaluation_tables(evaluation: Evaluation, estimator: str, *, force: bool) -> list[RenderableType]:
    """What a log says of every policy by one estimator, what it refuses to say, and how sound the log is.

    ``force`` shows refused figures too, marked. Raises InvalidInput for an estimator that was not asked for.
    """
    require_estimator(evaluation, estimator)
    refused = all_refused(evaluation, estimator)
    parts: list[RenderableType] = [draw(evaluation_grid(evaluation, estimator, force=force))]
    if refused:
        parts.append(_refusals(refused, force=force))
    verdicts = evaluation_verdicts(evaluation, estimator, force=force)
    parts += [_sentences(verdicts)] if verdicts else []
    grids = (checks_grid(evaluation), arms_grid(evaluation), calibration_grid(evaluation))
    return [*parts, *(draw(grid) for grid in grids)]


def simulation_table(simulation: Simulation) -> RenderableType:
    """How every policy and every baseline fared over the seeds, with a verdict on each policy."""
    return Group(
        draw(simulation_grid(simulation)), _sentences([*simulation_verdicts(simulation), OVER_ORDERS])
    )


def _refusals(refused: Sequence[Refused], *, force: bool) -> Group:
    heading = Text(FORCED if force else "Refused:", style="bold red")
    lines = [Text.assemble((one.figures, "bold"), f": {one.reason}. Cure: {one.cure}.") for one in refused]
    return Group("", heading, _bullets(lines))


def _sentences(sentences: Sequence[str]) -> Group:
    return Group("", _bullets([Text(sentence) for sentence in sentences]), "")


def _bullets(lines: Sequence[Text]) -> Table:
    table = Table.grid(padding=(0, 1))
    for line in lines:
        table.add_row("•", line)
    return table
