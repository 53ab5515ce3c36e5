"""Commands that route: set up, serve, decide, hear how it turned out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, print_json, say
from bandit_router.errors import RouterError
from bandit_router.objective.reward import check_metric
from bandit_router.router import Router
from bandit_router.router.explain import answer
from bandit_router.settings import CONFIG_VARIABLE, load_settings
from bandit_router.settings.templates import Template, read_template
from bandit_router.types import Arm, Decision


def init(
    path: Annotated[Path, typer.Argument(help="Where to write the settings.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    template: Annotated[Template, typer.Option(help="What decides.")] = Template.BANDIT,
) -> None:
    """Write a commented router.toml: the learned router, or one of the classics."""
    if path.exists() and not force:
        raise RouterError(f"{path} is there already; use --force to replace it")
    try:
        path.write_text(read_template(template), encoding="utf-8")
    except OSError as error:
        raise RouterError(f"{path} cannot be written: {error.strerror}") from error
    first = "train-classifier --help" if template is Template.CLASSIFIER else "serve"
    say(f"wrote {path}; next: bandit-router {first}")


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Overrides server.port.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Overrides server.workers.")] = None,
) -> None:
    """Serve the HTTP API."""
    import uvicorn

    settings = load_settings(config)
    with Router.open(settings):  # a wrong setting or schema is one clear error here, not one per worker
        pass
    os.environ[CONFIG_VARIABLE] = str(config.resolve())
    uvicorn.run(
        "bandit_router.server.app:from_environment",
        factory=True,
        host=host or settings.server.host,
        port=settings.server.port if port is None else port,
        workers=workers or settings.server.workers,
        access_log=False,
        proxy_headers=False,  # nobody asks who the client is
    )


def route(
    query: Annotated[str, typer.Argument(help="The query to route.")],
    config: ConfigOption = DEFAULT_CONFIG,
    user_tier: Annotated[str | None, typer.Option(help="Tier of the user.")] = None,
    cost_weight: Annotated[float | None, typer.Option(help="Reward per dollar saved, 1/USD.")] = None,
    deadline_s: Annotated[float | None, typer.Option(help="Seconds until the answer must be there.")] = None,
    deadline_level: Annotated[float | None, typer.Option(help="How often, between 0 and 1.")] = None,
    as_json: JsonOption = False,
    conversation: Annotated[str | None, typer.Option(help="Conversation it belongs to.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Workflow it is a step of.")] = None,
    override: Annotated[str | None, typer.Option(help="The arm it has to be.")] = None,
    instead_of: Annotated[str | None, typer.Option(help="Decision whose answer would not do.")] = None,
    forbid: Annotated[list[str] | None, typer.Option(help="An arm it must not be; repeat.")] = None,
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
        print_json(answer(decision, arm))
        return
    say(f"{arm.name} ({arm.provider}/{arm.model})", style="bold")
    say(f"decision {decision.id}, snapshot {decision.snapshot}, {decision.reason}")
    for name, p in zip(decision.eligible, decision.pmf, strict=True):
        say(f"  {p:7.2%} {name}")
    for name, why in decision.excluded.items():
        say(f"        – {name}: {why}")


def feedback(
    decision_id: Annotated[str, typer.Argument(help="The id that `route` printed.")],
    metrics: Annotated[list[str], typer.Argument(help="quality=0.9 cost_usd=0.0004 …; quality= retracts.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Say how a decision turned out."""
    values = _metrics(metrics)
    with Router.open(config) as router:
        outcomes = router.feedback(decision_id, **values)  # type: ignore[arg-type]
        router.learn()  # no service may be running that would
    if as_json:
        print_json({"decision_id": decision_id, "outcomes": outcomes})
        return
    for metric, outcome in outcomes.items():
        say(f"{metric}: {outcome}")


def _metrics(texts: list[str]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for text in texts:
        name, value = _metric(text)
        if name in values:
            raise RouterError(f"{name} is given twice; give it once")
        values[name] = value
    return values


def _metric(text: str) -> tuple[str, float | None]:
    name, equals, value = text.partition("=")
    try:
        number = float(value or 0.0)
    except ValueError:
        equals = ""
    if not equals:
        raise RouterError(f"{text!r}: write a metric as name=number, such as quality=0.9")
    check_metric(name, number)
    return name, number if value else None
