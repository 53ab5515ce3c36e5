"""`route`: decide one query."""

from __future__ import annotations

from typing import Annotated

import typer

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line
from bandit_router.router import Router
from bandit_router.router.explain import build_route_answer
from bandit_router.types import Arm, Decision


def route(
    query: Annotated[str, typer.Argument(help="The query to route.")],
    config: ConfigOption = DEFAULT_CONFIG,
    user_tier: Annotated[str | None, typer.Option(help="The user's tier.")] = None,
    cost_weight: Annotated[
        float | None, typer.Option(help="Reward you would give up to save one dollar, 1/USD.")
    ] = None,
    deadline_s: Annotated[float | None, typer.Option(help="Seconds within which to answer.")] = None,
    deadline_level: Annotated[
        float | None, typer.Option(help="How often to answer in time, between 0 and 1.")
    ] = None,
    as_json: JsonOption = False,
    conversation: Annotated[
        str | None, typer.Option(help="Id of the conversation that the query belongs to.")
    ] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Name of the workflow that the query is a step of.")
    ] = None,
    override: Annotated[str | None, typer.Option(help="The arm to use, whatever the policy says.")] = None,
    instead_of: Annotated[
        str | None, typer.Option(help="Id of the decision whose answer this one replaces.")
    ] = None,
    forbid: Annotated[list[str] | None, typer.Option(help="An arm not to use; repeatable.")] = None,
) -> None:
    """Choose a model for one query and log the decision."""
    with Router.open(config) as router:
        decision = router.route(
            query,
            user_tier=user_tier,
            cost_weight=cost_weight,
            conversation=conversation,
            workflow=workflow,
            override=override,
            instead_of=instead_of,
            forbid=forbid or (),
            deadline_s=deadline_s,
            deadline_level=deadline_level,
        )
        _print_decision(decision, router.arm(decision.arm), as_json)


def _print_decision(decision: Decision, arm: Arm, as_json: bool) -> None:
    if as_json:
        print_json(build_route_answer(decision, arm))
        return
    print_line(f"{arm.name} ({arm.provider}/{arm.model})", style="bold")
    print_line(f"decision {decision.id}, snapshot {decision.snapshot}, {decision.reason}")
    for name, p in zip(decision.eligible, decision.pmf, strict=True):
        print_line(f"  {p:7.2%} {name}")
    for name, obstacle in decision.excluded.items():
        print_line(f"        – {name}: {obstacle}")
