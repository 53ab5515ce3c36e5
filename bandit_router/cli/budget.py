"""`budget`: how the router's goal stands."""

from __future__ import annotations

from dataclasses import asdict

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line


def budget(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show how the goal under [budget] stands: what was spent, or how good answers were."""
    with open_existing_store(config) as store:
        status = asdict(store.goal_status())
    if as_json:
        print_json(status)
        return
    for name, value in status.items():
        if value is not None:
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            print_line(f"  {name.replace('_', ' ')}: {text}")
