"""Rules: when each fires, what they add up to, and when they are asked at all."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError
from bandit_router.policies.heuristic import Heuristic, Verdict
from bandit_router.settings import make_settings
from bandit_router.settings.rules import RuleSection
from bandit_router.signals import compute_signals, make_signallers
from bandit_router.signals.rules import COMPLEXITY, FIRED, MATCHED_CHARS, default_rules, make_rules
from bandit_router.types import NO_SIGNALS, Query, Signals

X = np.ones(3)
SCHEMA = ("vector/2", 3)


def ask(query: Query | str, *rules: dict[str, Any]) -> Signals:
    sections = [RuleSection(**({"name": f"r{i}", "weight": 0.5} | rule)) for i, rule in enumerate(rules)]
    return make_rules(sections)(Query(text=query) if isinstance(query, str) else query, X)


def fires(query: Query | str, **rule: Any) -> bool:
    return ask(query, rule)[FIRED] == "r0"


@pytest.mark.parametrize(("chars", "expected"), [(499, False), (500, False), (501, True), (100_000, True)])
def test_a_query_is_long_when_it_has_more_characters(chars: int, expected: bool) -> None:
    assert fires("x" * chars, longer_than=500) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("code", True),
        ("Review this CODE!", True),
        ("(code)", True),
        ("“code”", True),
        ("decode", False),
        ("codec", False),
        ("code_1", False),
        ("decoder, then code", True),
        ("Schreib straße", True),
        ("STRASSE", True),
        ("Please step by step.", True),
        ("", False),
    ],
)
def test_a_keyword_is_a_whole_word_in_any_case(text: str, expected: bool) -> None:
    assert fires(text, keywords=["code", "Straße", "step by step"]) is expected


@given(
    text=st.text(st.sampled_from("ab_É1 .-\n"), max_size=30),
    words=st.lists(st.text(st.sampled_from("abé1"), min_size=1, max_size=2), min_size=1, max_size=3),
)
def test_keywords_fire_as_if_the_text_were_cut_into_words(text: str, words: list[str]) -> None:
    found = set(re.findall(r"\w+", text.casefold()))
    assert fires(text, keywords=words) is not found.isdisjoint(words)


@pytest.mark.parametrize(
    ("tier", "expected"), [("premium", True), ("Premium", False), ("free", False), (None, False)]
)
def test_a_tier_is_meant_exactly(tier: str | None, expected: bool) -> None:
    assert fires(Query(text="a", user_tier=tier), tier="premium") is expected


@pytest.mark.parametrize(("turn", "expected"), [(1, False), (2, True), (9, True)])
def test_a_follow_up_is_not_the_first_turn(turn: int, expected: bool) -> None:
    assert fires(Query(text="a", turn=turn), follow_up=True) is expected


def test_a_pattern_is_found_anywhere_and_as_written() -> None:
    assert fires("order AB-123 is late", pattern=r"\b[A-Z]{2}-\d+")
    assert not fires("order ab-123 is late", pattern=r"\b[A-Z]{2}-\d+")


def test_a_pattern_reads_any_text() -> None:
    assert fires("Größe: 5 µm", pattern=r"Gr\p{L}+e: \d µm$")
    assert fires("lone \ud800 surrogate", pattern="surrogate")


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(a*)*b", r"([a-z]+)*!"])
def test_no_pattern_takes_exponential_time(pattern: str) -> None:
    fires("a" * 2_000 + "?", pattern=pattern)  # Python's own engine would not end


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(?<!a)b", r"(a)\1", "a++", "(", "[", "a{1001}"])
def test_a_pattern_that_is_not_of_re2_is_an_error_in_the_settings(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"rules\[0\].*no lookaround and no backreferences"):
        make_settings({"rules": [{"name": "r", "weight": 0.5, "pattern": pattern}]})


@pytest.mark.parametrize("rule", [{"pattern": "needle"}, {"keywords": ["needle"]}])
def test_nothing_is_looked_for_beyond_the_bound(rule: dict[str, Any]) -> None:
    assert fires(" " * (MATCHED_CHARS - 6) + "needle", **rule)
    assert not fires(" " * (MATCHED_CHARS - 5) + "needle", **rule)


@given(
    weights=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5),
    fired=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_the_score_is_the_sum_of_what_fired_and_at_most_one(weights: list[float], fired: list[bool]) -> None:
    rules = [{"weight": w, "pattern": "a" if on else "b"} for w, on in zip(weights, fired, strict=False)]
    found = ask("a", *rules)
    there = [i for i, on in enumerate(fired[: len(weights)]) if on]
    assert found[COMPLEXITY] == pytest.approx(min(1.0, sum(weights[i] for i in there)))
    assert found[FIRED] == ",".join(f"r{i}" for i in there)


@pytest.mark.parametrize(
    ("query", "fired", "verdict"),
    [
        (Query(text="Hello"), "", Verdict.SIMPLE),
        (Query(text="Explain it."), "keywords", Verdict.UNCERTAIN),
        (Query(text="And then?", turn=2), "follow-up", Verdict.UNCERTAIN),
        (Query(text="Hi", user_tier="premium", turn=2), "premium,follow-up", Verdict.UNCERTAIN),
        (Query(text="Debug ```f(x)```"), "keywords,code-or-formula", Verdict.COMPLEX),
        (Query(text=r"Solve \frac{1}{x} = 2." + " Thanks." * 80), "long,code-or-formula", Verdict.COMPLEX),
        (Query(text="Design it.", user_tier="premium"), "keywords,premium", Verdict.COMPLEX),
    ],
)
def test_with_the_shipped_rules_one_sign_is_doubt_and_two_are_certainty(
    query: Query, fired: str, verdict: Verdict
) -> None:
    signals = make_rules(default_rules())(query)
    assert signals[FIRED] == fired
    assert Heuristic(cheap="a", expensive="b").verdict(signals) is verdict


def test_the_shipped_rules_are_rules_that_an_owner_could_write() -> None:
    rules = [section.model_dump(exclude_defaults=True) for section in default_rules()]
    assert make_settings({"rules": rules}).rules == default_rules()


def test_rules_are_asked_where_they_are_configured_or_wanted() -> None:
    mine = make_settings({"rules": [{"name": "mine", "weight": 0.3, "tier": "gold"}]})
    gold = Query(text="Explain it.", user_tier="gold")
    assert compute_signals(make_signallers(make_settings({}), *SCHEMA), gold, X) is NO_SIGNALS
    for wanted in ((), (COMPLEXITY,)):
        found = compute_signals(make_signallers(mine, *SCHEMA, wanted), gold, X)
        assert found == {COMPLEXITY: 0.3, FIRED: "mine"}
    shipped = compute_signals(make_signallers(make_settings({}), *SCHEMA, (COMPLEXITY,)), gold, X)
    assert shipped == {COMPLEXITY: 0.5, FIRED: "keywords"}
