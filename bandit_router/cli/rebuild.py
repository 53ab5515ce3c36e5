"""`rebuild`: compute the posterior anew from the log."""

from __future__ import annotations

from bandit_router.cli.connect import open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption
from bandit_router.cli.output import print_line


def rebuild(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Rebuild the posterior from the log alone, and publish it. Damaged snapshots are deleted."""
    with open_quiet_router(config) as router:
        print_line(f"rebuilt from {router.rebuild()} rewards: snapshot {router.snapshot}")
        router.delete_damaged_snapshots()
