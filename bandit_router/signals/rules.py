"""Rules: a complexity score from at most five rules, the signal that the heuristic policy reads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bandit_router.settings.rules import RuleSection, compile_pattern
from bandit_router.types import NO_SIGNALS, FloatArray, Query, Signals

COMPLEXITY, FIRED = "complexity", "rules"
"""The signals: the score in [0, 1], and the names of the rules that fired, separated by commas."""

MATCHED_CHARS = 2048
"""Keywords and patterns are searched in this many first characters of a query.

This keeps all rules under 50 µs: patterns take linear time.
"""


def default_rules() -> tuple[RuleSection, ...]:
    """The rules of a heuristic policy without configured rules.

    Chosen by hand, not fitted. One strong sign is uncertain, two are complex: two of weight 0.5, or one of
    them and one of weight 0.4, exceed 0.8, the default threshold.
    """
    words = (
        *("analyze", "code", "compare", "debug", "derive", "design"),
        *("explain", "implement", "optimize", "prove", "refactor"),
    )
    return (
        RuleSection(name="long", weight=0.4, longer_than=500),
        RuleSection(name="keywords", weight=0.5, keywords=words),
        RuleSection(name="premium", weight=0.4, tier="premium"),
        RuleSection(name="follow-up", weight=0.2, follow_up=True),
        RuleSection(name="code-or-formula", weight=0.5, pattern=r"```|\$\$|\\[a-z]+\{|;\n|\{\n"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A compiled rule."""

    name: str
    weight: float
    fires: Callable[[Query], bool]


@dataclass(frozen=True, slots=True)
class Rules:
    """Evaluates every rule: complexity = min(1, Σ weights of the rules that fire).

    Each weight is the score of its rule alone, 0 means that no rule fired, and the log lists those that did.
    """

    rules: tuple[Rule, ...]

    def __call__(self, query: Query | None, x: FloatArray | None = None) -> Signals:
        del x
        if query is None:
            return NO_SIGNALS
        fired = [rule for rule in self.rules if rule.fires(query)]
        score = min(1.0, math.fsum([rule.weight for rule in fired]))
        return {COMPLEXITY: score, FIRED: ",".join([rule.name for rule in fired])}


def make_rules(sections: Sequence[RuleSection]) -> Rules:
    """Compile the rules of the settings."""
    return Rules(tuple(Rule(name=s.name, weight=s.weight, fires=_compile_condition(s)) for s in sections))


def _compile_condition(section: RuleSection) -> Callable[[Query], bool]:
    if section.pattern is not None:
        search = compile_pattern(section.pattern).search
        return lambda query: search(_encode(query.text[:MATCHED_CHARS])) is not None
    if section.keywords:
        words = [_compile_word(keyword.casefold()) for keyword in section.keywords]
        return lambda query: _contains_any_word(query.text[:MATCHED_CHARS].casefold(), words)
    if section.longer_than is not None:
        chars = section.longer_than
        return lambda query: len(query.text) > chars
    if section.tier is not None:
        return lambda query: query.user_tier == section.tier
    return lambda query: query.turn > 1


def _encode(text: str) -> bytes:
    """The text as RE2 reads it; given text, it would count the characters of every position."""
    return text.encode("utf-8", "surrogatepass")


def _compile_word(word: str) -> tuple[str, re.Pattern[str]]:
    return word, re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")


def _contains_any_word(text: str, words: Sequence[tuple[str, re.Pattern[str]]]) -> bool:
    # Finding a string is ten times faster than searching for a pattern, and most words are not there.
    return any(word in text and pattern.search(text) for word, pattern in words)
