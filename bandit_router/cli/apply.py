"""`apply`: put the settings of a file in force for every worker."""

from __future__ import annotations

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption
from bandit_router.cli.output import print_line
from bandit_router.router import Router


def apply(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Put the settings of the file in force for every worker, also if they were superseded.

    `serve` does this by itself for settings that are new. Use this to go back to earlier ones.
    """
    with Router.open(config, apply="always") as router:
        print_line(f"the settings of {config} are in force for router {router.settings.router.name!r}")
