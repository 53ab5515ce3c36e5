"""`feedback`: record feedback for a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line
from bandit_router.errors import RouterError
from bandit_router.objective.reward import check_metric_name
from bandit_router.router import Router
from bandit_router.types import Scale


def feedback(
    decision_id: Annotated[str, typer.Argument(help="The id that `route` printed.")],
    metrics: Annotated[
        list[str],
        typer.Argument(
            help="quality=0.9 cost_usd=0.0004 stars=4 …, on their scales; quality= retracts a value."
        ),
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Record feedback for a decision."""
    with Router.open(config, apply="never") as router:
        values = _parse_metrics(metrics, router.settings.scales())
        outcomes = router.feedback(decision_id, **values)  # type: ignore[arg-type]
        router.learn()  # no service may be running that would
    if as_json:
        print_json({"decision_id": decision_id, "outcomes": outcomes})
        return
    for metric, outcome in outcomes.items():
        print_line(f"{metric}: {outcome}")


def _parse_metrics(texts: list[str], scales: Mapping[str, Scale]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for text in texts:
        name, value = _parse_metric(text)
        check_metric_name(name, scales)  # `decision_id=1` must not pass for an argument
        if name in values:
            raise RouterError(f"{name} is given twice; give it once")
        values[name] = value
    return values


def _parse_metric(text: str) -> tuple[str, float | None]:
    """``quality=0.9`` as its name and value; None for ``quality=``, which retracts."""
    name, equals, value = text.partition("=")
    try:
        number = float(value or 0.0)
    except ValueError:
        equals = ""
    if not equals:
        raise RouterError(f"{text!r}: write a metric as name=number, such as quality=0.9")
    return name, number if value else None
