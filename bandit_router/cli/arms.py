"""Commands about the models a router can choose."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, out, print_json, quiet_router
from bandit_router.errors import RouterError
from bandit_router.settings import load_settings
from bandit_router.types import Arm

app = typer.Typer(no_args_is_help=True, help="List arms, and add or switch them while workers run.")


@app.command("list")
def list_arms(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """The arms, whether they are on, how many rewards each has earned, and how long its calls take."""
    with quiet_router(config) as router:
        counts = router.counts()
        rows = [
            (arm, counts.get(arm.name, 0), [router.latency_s(arm.name, q) for q in (0.5, 0.95)])
            for arm in router.arms
        ]
    if as_json:
        print_json(
            [
                {
                    "name": arm.name,
                    "model": arm.model,
                    "enabled": arm.enabled,
                    "rewards_counted": count,
                    "p50_latency_s": p50,
                    "p95_latency_s": p95,
                }
                for arm, count, (p50, p95) in rows
            ]
        )
        return
    table = Table("arm", "model", "enabled", "rewards counted", "p50 s", "p95 s")
    for arm, count, latencies in rows:
        shown = ("–" if latency is None else f"{latency:.3g}" for latency in latencies)
        on = "yes" if arm.enabled else "no"
        table.add_row(arm.name, f"{arm.provider}/{arm.model}", on, str(count), *shown)
    out.print(table)


@app.command("enable")
def enable(name: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Switch an arm on; workers follow within a second."""
    with quiet_router(config) as router:
        router.enable_arm(name)


@app.command("disable")
def disable(name: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Switch an arm off; what was learned of it stays."""
    with quiet_router(config) as router:
        router.enable_arm(name, False)


@app.command("reset")
def reset(name: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Forget what was learned of an arm: its model changed under the same name."""
    with quiet_router(config) as router:
        router.reset_arm(name)


@app.command("add")
def add(
    name: str,
    input_usd_per_mtok: Annotated[float, typer.Option(help="USD per million input tokens.")],
    output_usd_per_mtok: Annotated[float, typer.Option(help="USD per million output tokens.")],
    provider: Annotated[str, typer.Option(help="Who serves the model.")] = "openai",
    model: Annotated[str, typer.Option(help="The provider's model id; the name if empty.")] = "",
    expected_output_tokens: Annotated[int, typer.Option(help="Output tokens assumed for pricing.")] = 300,
    context_window: Annotated[int | None, typer.Option(help="Most tokens the model accepts.")] = None,
    capability: Annotated[list[str] | None, typer.Option(help="What it can do; may be repeated.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Add an arm while workers run, or change one that was added so."""
    if any(section.name == name for section in load_settings(config).arms):
        raise RouterError(f"arm {name!r} is in {config}, which would win at the next start; change it there")
    arm = Arm(
        name=name,
        provider=provider,
        model=model or name,
        input_usd_per_mtok=input_usd_per_mtok,
        output_usd_per_mtok=output_usd_per_mtok,
        expected_output_tokens=expected_output_tokens,
        context_window=context_window,
        capabilities=frozenset(capability or ()),
    )
    with quiet_router(config) as router:
        router.put_arm(arm)
