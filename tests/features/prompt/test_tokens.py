"""Tokens of texts: properties that hold for any text, and the scripts against published tokenizers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.features.prompt.tokens import estimate_tokens, round_tokens, weigh_text

TEXTS = st.text(st.characters(exclude_categories=())) | st.text("aZ9{ é漢한ж😀न")


@given(one=TEXTS, other=TEXTS)
def test_weights_add_up(one: str, other: str) -> None:
    both = weigh_text(one + other)
    assert both.likely == weigh_text(one).likely + weigh_text(other).likely
    assert both.most == weigh_text(one).most + weigh_text(other).most


@given(text=TEXTS, more=TEXTS.filter(bool))
def test_a_longer_text_weighs_more(text: str, more: str) -> None:
    assert weigh_text(text + more).likely > weigh_text(text).likely
    assert weigh_text(text + more).most > weigh_text(text).most


@given(text=TEXTS.filter(bool))
def test_a_text_has_a_token_at_least_and_bytes_at_most(text: str) -> None:
    weight = weigh_text(text)
    assert 1 <= round_tokens(weight.likely) <= round_tokens(weight.most)
    assert weight.likely < weight.most <= 100 * len(text.encode("utf-8", "surrogatepass"))


@given(text=st.text(st.characters(max_codepoint=127)))
def test_ascii_is_a_quarter_of_a_token_a_character_rounded_up(text: str) -> None:
    assert estimate_tokens(text) == max(1, math.ceil(len(text) / 4))


@pytest.mark.parametrize("character", ["漢", "か", "カ", "한", "，"])
def test_chinese_japanese_and_korean_have_a_token_a_character(character: str) -> None:
    assert estimate_tokens(character * 100_000) == 100_000


MEASURED = json.loads(Path(__file__).with_name("measured.json").read_text(encoding="utf-8"))
"""A sentence in many scripts, and other texts, with the counts of four tokenizers."""


@pytest.mark.parametrize("measured", MEASURED, ids=[measured["name"] for measured in MEASURED])
def test_the_figures_agree_with_tokenizers(measured: dict[str, Any]) -> None:
    counts = [measured[name] for name in ("cl100k_base", "o200k_base", "claude_2", "deepseek_v3")]
    assert 0.45 * mean(counts) <= estimate_tokens(measured["text"]) <= 1.4 * mean(counts)
    assert round_tokens(weigh_text(measured["text"]).most) >= max(counts)
