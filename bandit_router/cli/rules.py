"""Commands about the rules of the heuristic policy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.table import Table

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, out, print_json, say
from bandit_router.policies import make_policy
from bandit_router.policies.heuristic import Heuristic, Verdict
from bandit_router.settings import Settings, load_settings
from bandit_router.settings.rules import RuleSection
from bandit_router.signals.rules import COMPLEXITY, FIRED, make_rules, shipped_rules

app = typer.Typer(no_args_is_help=True)

_CHARS_SHOWN = 60


class Judged(NamedTuple):
    """One query, and what the rules made of it."""

    text: str
    complexity: float
    fired: tuple[str, ...]
    verdict: Verdict


@app.callback()
def about() -> None:
    """Try the rules of the heuristic policy."""


@app.command("test")
def try_rules(
    file: Annotated[
        Path,
        typer.Argument(help="Queries: one a line, or JSON Lines, CSV or Parquet with a column of them."),
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    show: Annotated[int, typer.Option(min=0, help="Queries to list one by one.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Which rule fires for which query, how often, and where the queries would go."""
    from bandit_router.evaluation.datasets import load_queries

    settings = load_settings(config)
    sections, policy = settings.rules or shipped_rules(), _policy(settings)
    rules, judged = make_rules(sections), []
    for query in load_queries(file):
        signals = rules(query)
        fired = tuple(filter(None, str(signals[FIRED]).split(",")))
        judged.append(Judged(query.text, float(signals[COMPLEXITY]), fired, policy.verdict(signals)))
    if as_json:
        print_json(_facts(judged, sections, policy))
        return
    out.print(_rules_table(judged, sections))
    out.print(_routes_table(judged, policy))
    for one in judged[:show]:
        text = " ".join(one.text[: 2 * _CHARS_SHOWN].split())[:_CHARS_SHOWN]
        say(f"{one.complexity:.2f}  {one.verdict:9}  {', '.join(one.fired) or '–':30}  {text}")
    if len(judged) > show:
        say(f"and {len(judged) - show} more; --json has all, --show lists more")


def _policy(settings: Settings) -> Heuristic:
    """The thresholds to judge by: those of the live policy if it is a heuristic, else the shipped ones."""
    policy = make_policy(settings.policy.name, settings.policy.parameters)
    return policy if isinstance(policy, Heuristic) else Heuristic(cheap="cheap", expensive="expensive")


def _facts(judged: list[Judged], sections: tuple[RuleSection, ...], policy: Heuristic) -> dict[str, Any]:
    fired, verdicts = _counts(judged)
    return {
        "queries": len(judged),
        "low": policy.low,
        "high": policy.high,
        "rules": [{"name": s.name, "weight": s.weight, "fired": fired[s.name]} for s in sections],
        "verdicts": {verdict: verdicts[verdict] for verdict in Verdict},
        "expensive_share": verdicts[Verdict.COMPLEX] / len(judged),
        "judged": [one._asdict() for one in judged],
    }


def _counts(judged: list[Judged]) -> tuple[Counter[str], Counter[Verdict]]:
    return Counter(name for one in judged for name in one.fired), Counter(one.verdict for one in judged)


def _rules_table(judged: list[Judged], sections: tuple[RuleSection, ...]) -> Table:
    fired, _ = _counts(judged)
    alone = Counter(one.fired[0] for one in judged if len(one.fired) == 1)
    table = Table("rule", "weight", "fired", "share", "alone")
    for section in sections:
        n = fired[section.name]
        share = f"{n / len(judged):.1%}"
        table.add_row(section.name, f"{section.weight:g}", str(n), share, str(alone[section.name]))
    return table


def _routes_table(judged: list[Judged], policy: Heuristic) -> Table:
    _, verdicts = _counts(judged)
    goes = {
        Verdict.SIMPLE: (f"< {policy.low:g}", policy.cheap),
        Verdict.UNCERTAIN: ("between", policy.cheap),
        Verdict.COMPLEX: (f"> {policy.high:g}", policy.expensive),
    }
    table = Table("verdict", "score", "goes to", "queries", "share")
    for verdict, (score, arm) in goes.items():
        n = verdicts[verdict]
        table.add_row(verdict, score, arm, str(n), f"{n / len(judged):.1%}")
    return table
