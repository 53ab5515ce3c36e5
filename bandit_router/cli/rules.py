"""`rules`: try the rules of the heuristic policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.table import Table

from bandit_router.cli.command import App
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, print_json, print_line
from bandit_router.policies import make_policy
from bandit_router.policies.heuristic import Heuristic, Verdict
from bandit_router.settings import Settings, load_settings
from bandit_router.settings.rules import RuleSection
from bandit_router.signals.rules import COMPLEXITY, FIRED, default_rules, make_rules
from bandit_router.types import Query

app = App(help="Try the rules of the heuristic policy.")

_CHARS_SHOWN = 60


class JudgedQuery(NamedTuple):
    """A query, its score of complexity, the rules that fired, and the verdict."""

    text: str
    complexity: float
    fired: tuple[str, ...]
    verdict: Verdict


@app.command("test")
def try_rules(
    file: Annotated[
        Path,
        typer.Argument(help="Queries: one per line of text, or a column of JSON Lines, CSV or Parquet."),
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    show: Annotated[int, typer.Option(min=0, help="Number of queries to list one by one.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show which rules fire for which queries, how often, and where the queries would go."""
    from bandit_router.evaluation.datasets import load_queries

    settings = load_settings(config)
    sections, policy = settings.rules or default_rules(), _heuristic_of(settings)
    judged = _judge_queries(load_queries(file), sections, policy)
    if as_json:
        print_json(_rules_facts(judged, sections, policy))
        return
    console.print(_rules_table(judged, sections))
    console.print(_routes_table(judged, policy))
    for query in judged[:show]:
        text = " ".join(query.text[: 2 * _CHARS_SHOWN].split())[:_CHARS_SHOWN]
        print_line(f"{query.complexity:.2f}  {query.verdict:9}  {', '.join(query.fired) or '–':30}  {text}")
    if len(judged) > show:
        print_line(f"and {len(judged) - show} more; --json has all, --show lists more")


def _heuristic_of(settings: Settings) -> Heuristic:
    """The live policy if it is a heuristic, else one with the default thresholds."""
    policy = make_policy(settings.policy.name, settings.policy.parameters)
    return policy if isinstance(policy, Heuristic) else Heuristic(cheap="cheap", expensive="expensive")


def _judge_queries(
    queries: Iterable[Query], sections: Sequence[RuleSection], policy: Heuristic
) -> list[JudgedQuery]:
    rules = make_rules(sections)
    judged = []
    for query in queries:
        signals = rules(query)
        fired = tuple(filter(None, str(signals[FIRED]).split(",")))
        judged.append(JudgedQuery(query.text, float(signals[COMPLEXITY]), fired, policy.verdict(signals)))
    return judged


def _rules_facts(
    judged: list[JudgedQuery], sections: tuple[RuleSection, ...], policy: Heuristic
) -> dict[str, Any]:
    fired, verdicts = _count_fired(judged), _count_verdicts(judged)
    return {
        "queries": len(judged),
        "low": policy.low,
        "high": policy.high,
        "rules": [{"name": s.name, "weight": s.weight, "fired": fired[s.name]} for s in sections],
        "verdicts": {verdict: verdicts[verdict] for verdict in Verdict},
        "expensive_share": verdicts[Verdict.COMPLEX] / len(judged),
        "judged": [query._asdict() for query in judged],
    }


def _count_fired(judged: list[JudgedQuery]) -> Counter[str]:
    return Counter(name for query in judged for name in query.fired)


def _count_verdicts(judged: list[JudgedQuery]) -> Counter[Verdict]:
    return Counter(query.verdict for query in judged)


def _rules_table(judged: list[JudgedQuery], sections: tuple[RuleSection, ...]) -> Table:
    fired = _count_fired(judged)
    alone = Counter(query.fired[0] for query in judged if len(query.fired) == 1)
    table = Table("rule", "weight", "fired", "share", "alone")
    for section in sections:
        n = fired[section.name]
        share = f"{n / len(judged):.1%}"
        table.add_row(section.name, f"{section.weight:g}", str(n), share, str(alone[section.name]))
    return table


def _routes_table(judged: list[JudgedQuery], policy: Heuristic) -> Table:
    verdicts = _count_verdicts(judged)
    bounds_and_arms = {
        Verdict.SIMPLE: (f"< {policy.low:g}", policy.cheap),
        Verdict.UNCERTAIN: ("between", policy.cheap),
        Verdict.COMPLEX: (f"> {policy.high:g}", policy.expensive),
    }
    table = Table("verdict", "score", "goes to", "queries", "share")
    for verdict, (score, arm) in bounds_and_arms.items():
        n = verdicts[verdict]
        table.add_row(verdict, score, arm, str(n), f"{n / len(judged):.1%}")
    return table
