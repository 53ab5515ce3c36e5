"""The command that says why."""

from __future__ import annotations

from collections.abc import Iterator
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
from bandit_router.router.explain import Alternative, Explanation


def explain(
    decision_id: Annotated[str, typer.Argument(help="The id that `route` printed.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Say why a decision has the model it has, and with what alternatives."""
    with quiet_router(config) as router:
        found = router.explain(decision_id)
    if as_json:
        print_json(found.facts())
        return
    arm, decision = found.arm, found.decision
    say(f"{arm.name} ({arm.provider}/{arm.model})", style="bold")
    say(f"{decision.reason}: {found.why}")
    out.print(_table(found.alternatives))
    for line in _notes(found):
        say(f"  {line}")


def _table(alternatives: tuple[Alternative, ...]) -> Table:
    table = Table("arm", *("probability", "mean", "width", "USD", "utility"))
    for one in alternatives:
        scores = ("–" if value is None else f"{value:.4f}" for value in (one.mean, one.std, one.utility))
        mean, std, utility = scores
        table.add_row(one.arm, f"{one.probability:.2%}", mean, std, f"{one.expected_cost_usd:.3g}", utility)
    return table


def _notes(found: Explanation) -> Iterator[str]:
    decision, standing = found.decision, found.standing
    for arm, obstacle in decision.excluded.items():
        yield f"not eligible: {arm}: {obstacle}"
    for name, value in decision.signals.items():
        yield f"{name}: {value}"
    yield f"policy {decision.policy}, snapshot {decision.snapshot}, cost weight {decision.cost_weight:g}/USD"
    if standing is not None:
        how = "was promoted to" if standing.promoted else "keeps"
        yield f"conversation {standing.id!r} {how} {standing.arm}; decision {standing.choice} chose it"
    for link in found.parents:
        yield f"follows {link.decision_id}: {link.arm}, {link.reason}"
    for link in found.children:
        yield f"followed by {link.decision_id}: {link.arm}, {link.reason}"
    for name, value in found.metrics.items():
        yield f"feedback: {name} = {value:g}"
    if not found.metrics:
        yield "no feedback so far"
