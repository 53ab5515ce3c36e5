"""`quarantine`: leave out of what is learned all that an API key said."""

from __future__ import annotations

from typing import Annotated

import typer

from bandit_router.cli.connect import open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption
from bandit_router.cli.output import print_line


def quarantine(
    key: Annotated[str, typer.Option(help="Id of the key, as `keys list` shows it.")],
    release: Annotated[
        bool, typer.Option("--release", help="End it: what the key said counts again.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Let all feedback of a key, past and future, count for nothing, and rebuild what was learned without it.

    The log keeps it, and the key goes on to route: `keys revoke` refuses it.
    """
    with open_quiet_router(config) as router:
        if release:
            router.release_key(key)
        else:
            router.quarantine_key(key)
        rewards = sum(router.counts().values())
    what = "counts again" if release else "counts for nothing"
    print_line(f"the feedback of {key} {what}; the posterior was rebuilt from {rewards} rewards")
