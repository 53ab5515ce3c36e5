"""`explain`: why a decision chose its model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, print_json, print_line
from bandit_router.router.explain import Alternative, Explanation, explain_decision
from bandit_router.validation import read_id


def explain(
    decision_id: Annotated[str, typer.Argument(help="The id that `route` printed.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Explain why a decision chose its model, and show the alternatives."""
    with open_existing_store(config) as store:
        explanation = explain_decision(store, read_id(decision_id))
    if as_json:
        print_json(explanation.facts())
        return
    arm, decision = explanation.arm, explanation.decision
    print_line(f"{arm.name} ({arm.label})", style="bold")
    print_line(f"{decision.reason}: {explanation.why}")
    console.print(_alternatives_table(explanation.alternatives))
    for line in _explanation_lines(explanation):
        print_line(f"  {line}")


def _alternatives_table(alternatives: tuple[Alternative, ...]) -> Table:
    table = Table("arm", *("probability", "mean", "width", "USD", "utility"))
    for arm in alternatives:
        scores = ("–" if value is None else f"{value:.4f}" for value in (arm.mean, arm.std, arm.utility))
        mean, std, utility = scores
        table.add_row(arm.arm, f"{arm.probability:.2%}", mean, std, f"{arm.expected_cost_usd:.3g}", utility)
    return table


def _write_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _explanation_lines(explanation: Explanation) -> Iterator[str]:
    """Excluded arms, task, signals, policy, conversation, parent and child decisions, feedback."""
    decision, standing = explanation.decision, explanation.standing
    for arm, obstacle in decision.excluded.items():
        yield f"not eligible: {arm}: {obstacle}"
    if explanation.task is not None:
        yield f"task: {explanation.task}"
    for name, value in decision.signals.items():
        yield f"{name}: {value}"
    yield f"policy {decision.policy}, snapshot {decision.snapshot}, cost weight {decision.cost_weight:g}/USD"
    if decision.user is not None:
        yield f"user: {decision.user}"
    if decision.claimed_at is not None:
        claimed, logged = _write_time(decision.claimed_at), _write_time(decision.decided_at)
        yield f"a wrong clock said {claimed}, so {logged} is logged"
    if standing is not None:
        how = "was promoted to" if standing.promoted else "keeps"
        yield f"conversation {standing.id!r} {how} {standing.arm}; decision {standing.choice} chose it"
    for link in explanation.parents:
        yield f"follows {link.decision_id}: {link.arm}, {link.reason}"
    for link in explanation.children:
        yield f"followed by {link.decision_id}: {link.arm}, {link.reason}"
    for name, value in explanation.metrics.items():
        yield f"feedback: {name} = {value:g}"
    if not explanation.metrics:
        yield "no feedback so far"
