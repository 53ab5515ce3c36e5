"""`advice`: what to change, with the evidence."""

from __future__ import annotations

from dataclasses import asdict

from bandit_router.cli.connect import open_quiet_router
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line
from bandit_router.insight.advice import find_advice


def advice(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Say what to change, by the log of the newest two weeks: the evidence, the change, its effect."""
    with open_quiet_router(config) as router:
        found = find_advice(router, router.calibration())
    if as_json:
        print_json([asdict(each) for each in found])
        return
    if not found:
        print_line("nothing to change: no figure of the newest two weeks asks for it")
    for each in found:
        print_line(each.title)
        print_line(f"  {each.evidence}")
        if each.effect is not None:
            print_line(f"  {each.effect}")
        for line in each.change.splitlines():
            print_line(f"    {line}")
