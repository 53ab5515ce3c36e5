"""`verify`: audit the database."""

from __future__ import annotations

import typer

from bandit_router.cli.connect import open_existing_store
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import print_json, print_line
from bandit_router.learning.audit import AuditReport, audit_store


def verify(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check every invariant: counts, rebuild = live, every logged PMF. Exits 1 when one fails."""
    with open_existing_store(config) as store:
        report = audit_store(store)
    print_audit_report(report, as_json)
    if not report.ok:
        raise typer.Exit(1)


def print_audit_report(report: AuditReport, as_json: bool = False) -> None:
    """Print the counts and problems of an audit; the last line is its verdict."""
    facts = report.facts()
    if as_json:
        print_json(facts | {"ok": report.ok})
        return
    for name, value in facts.items():
        if name != "problems":
            print_line(f"  {name.replace('_', ' ')}: {value}")
    for problem in report.problems:
        print_line(f"  problem: {problem}", style="red")
    print_line(f"verify: {'ok' if report.ok else 'FAILED'}", style="green" if report.ok else "red")
