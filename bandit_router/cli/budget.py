"""The command that says how a budget stands."""

from __future__ import annotations

from dataclasses import asdict

from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    print_json,
    say,
    store_as_it_is,
)


def budget(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """How the goal under [budget] stands: what was spent of how much, or how good answers were."""
    with store_as_it_is(config) as store:
        found = asdict(store.goal_status())
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if value is not None:
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            say(f"  {name.replace('_', ' ')}: {shown}")
