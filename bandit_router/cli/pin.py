"""`pin` and `unpin`: send all traffic to one arm, in an emergency."""

from __future__ import annotations

from typing import Annotated

import typer

from bandit_router.cli.connect import open_existing_store, open_quiet_router
from bandit_router.cli.option_values import parse_duration
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption
from bandit_router.cli.output import format_time, print_line


def pin(
    arm: Annotated[str, typer.Argument(help="Name of the arm.")],
    duration: Annotated[str, typer.Option("--for", help="How long: 30m, 2h. It ends by itself.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Send all traffic to one arm for a while; workers follow within a second."""
    seconds = parse_duration("for", duration)
    assert seconds is not None
    with open_quiet_router(config) as router:
        until = format_time(router.pin_traffic(arm, seconds).until)
    print_line(f"all traffic goes to {arm} until {until} UTC, or `bandit-router unpin`")


def unpin(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Let traffic go where it is decided to go; workers follow within a second."""
    with open_existing_store(config) as store:
        pin = store.unpin_traffic()
    print_line("nothing was pinned" if pin is None else f"traffic is not pinned to {pin.arm} any more")
