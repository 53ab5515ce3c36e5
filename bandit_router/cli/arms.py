"""`arms`: list, add, switch and reset the models a router can choose."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from bandit_router.cli.command import App
from bandit_router.cli.connect import open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, format_time, print_json, print_line
from bandit_router.errors import RouterError
from bandit_router.settings import load_settings
from bandit_router.types import Arm

ArmName = Annotated[str, typer.Argument(help="Name of the arm.")]

app = App(help="List arms; add, rename, switch or reset them while workers run.")


@app.command("list")
def list_arms(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the arms: whether they are on, their rewards counted, and the latencies of their calls."""
    with open_quiet_router(config) as router:
        counts = router.counts()
        figures = [
            (arm, counts.get(arm.name, 0), [router.latency_s(arm.name, q) for q in (0.5, 0.95)])
            for arm in router.arms
        ]
        pin = router.traffic_pin
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
                for arm, count, (p50, p95) in figures
            ]
        )
        return
    table = Table("arm", "model", "enabled", "rewards counted", "p50 s", "p95 s")
    for arm, count, latencies in figures:
        cells = ("–" if latency is None else f"{latency:.3g}" for latency in latencies)
        enabled = "yes" if arm.enabled else "no"
        table.add_row(arm.name, arm.label, enabled, str(count), *cells)
    console.print(table)
    if pin is not None:
        print_line(f"all traffic is pinned to {pin.arm} until {format_time(pin.until)} UTC")


@app.command("enable")
def enable_arm(name: ArmName, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Switch an arm on; workers follow within a second."""
    with open_quiet_router(config) as router:
        router.enable_arm(name)


@app.command("disable")
def disable_arm(name: ArmName, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Switch an arm off; what was learned about it stays."""
    with open_quiet_router(config) as router:
        router.enable_arm(name, False)


@app.command("reset")
def reset_arm(name: ArmName, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Forget what was learned about an arm, because its model changed under the same name."""
    with open_quiet_router(config) as router:
        router.reset_arm(name)


@app.command("rename")
def rename_arm(
    old: Annotated[str, typer.Argument(help="Name of the arm now.")],
    new: Annotated[str, typer.Argument(help="The name it gets; another arm of that name is merged with it.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Rename an arm and keep what was learned of it; rename it in the settings file, too."""
    with open_quiet_router(config) as router:
        router.rename_arm(old, new)


@app.command("add")
def add_arm(
    name: ArmName,
    input_usd_per_mtok: Annotated[float, typer.Option(help="USD per million input tokens.")],
    output_usd_per_mtok: Annotated[float, typer.Option(help="USD per million output tokens.")],
    provider: Annotated[str, typer.Option(help="Who serves the model.")] = "openai",
    model: Annotated[str, typer.Option(help="The provider's model id; the arm's name if empty.")] = "",
    expected_output_tokens: Annotated[
        int, typer.Option(help="Output tokens assumed for a call, to estimate its cost.")
    ] = 300,
    context_window: Annotated[
        int | None, typer.Option(help="Most tokens of prompt and answer; no limit by default.")
    ] = None,
    capability: Annotated[
        list[str] | None, typer.Option(help="What the model can do, such as vision; repeatable.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Add an arm while workers run, or change an arm that was added this way."""
    if any(section.name == name for section in load_settings(config).arms):
        raise RouterError(f"arm {name!r} is in {config}, which wins at the next start; change it there")
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
    with open_quiet_router(config) as router:
        router.put_arm(arm)
