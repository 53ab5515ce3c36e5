"""`safety`: how the policy stands towards the baseline that it is bound to."""

from __future__ import annotations

from dataclasses import asdict

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import format_time, print_json, print_line


def safety(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what the policy may decide, and what it has lost to the baseline under [safety]."""
    with open_existing_store(config) as store:
        status = store.safety_status()
    if as_json:
        print_json(asdict(status))
        return
    print_line(f"baseline {status.baseline}, since {format_time(status.since)}")
    print_line(f"the policy decides {status.share:.2%} of the traffic by itself")
    print_line(
        f"lost in {status.decisions} decisions: {status.lost:.4f} expected, "
        f"{status.lost_at_most:.4f} at most with probability {status.probability:g}; "
        f"allowed are {status.allowed:.4f}, {status.at_most:.4g} of what the baseline earns"
    )
