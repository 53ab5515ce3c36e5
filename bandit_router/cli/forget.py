"""`forget`: delete all that is of a user, and what was learned of it."""

from __future__ import annotations

from typing import Annotated

import typer

from bandit_router.cli.connect import open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption
from bandit_router.cli.output import print_line


def forget(
    user: Annotated[str, typer.Option(help="The id that requests name, or its hash as `explain` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Delete every row of a user, and rebuild what was learned without them. It cannot be undone."""
    if not yes:
        typer.confirm("This deletes the decisions of the user for good. Go on?", abort=True)
    with open_quiet_router(config) as router:
        deleted = router.forget_user(user)
    if deleted:
        print_line(f"forgot the user: {deleted} decisions and all that hung on them are deleted")
    else:
        print_line("nothing is known of this user, or not any more")
