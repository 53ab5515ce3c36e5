"""The command that says how a budget stands."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, print_json, say
from bandit_router.config import load_settings
from bandit_router.store.store import Store


def budget(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """How the goal under [budget] stands: what was spent of how much, or how good answers were."""
    settings = load_settings(config)
    with closing(Store.open(settings.store.url, settings.router.name, create=False)) as store:
        found = asdict(store.standing())  # a router would begin anew for a goal that was edited
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if value is not None:
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            say(f"  {name.replace('_', ' ')}: {shown}")
