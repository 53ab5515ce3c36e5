"""Tokens of a text, by script: what they probably are, and what they rarely exceed.

In UTF-8 the first byte of a character names its script, so both figures are weighted sums over bytes::

    tokens(text) = Σ_s weight_s · (characters of script s)

They are additive and monotone. The weights are hundredths of a token. ``likely`` is for costs; ASCII has a
quarter of a token a character, the rule of thumb that learned cost corrections refer to, and other scripts
are near the mean of four tokenizers. ``most`` guards context windows: it covers digits, JSON and logs, and
the newest Claude models, which take 1.6 times the tokens of GPT models for English. The measurements and
their sources are in ``docs/background/tokens.md``.
"""

from __future__ import annotations

from typing import NamedTuple


class TokenWeight(NamedTuple):
    """Hundredths of a token: the likely figure and the one that is rarely exceeded."""

    likely: int
    most: int


class _Script(NamedTuple):
    lead_bytes: bytes
    weight: TokenWeight


def _script(first: int, last: int, likely: int, most: int) -> _Script:
    return _Script(bytes(range(first, last + 1)), TokenWeight(likely, most))


_WORD_BYTES = b"abcdefghijklmnopqrstuvwxyz \t\n\r"
_ASCII = 25
_WORD_MOST, _MARK_MOST = 40, 100  # a capital, a digit or a mark is a token of its own at worst

_SCRIPTS = (
    _script(0xC2, 0xCB, 140, 200),  # accented Latin
    _script(0xCC, 0xCF, 60, 140),  # Greek
    _script(0xD0, 0xD3, 40, 80),  # Cyrillic
    _script(0xD4, 0xD5, 100, 200),  # Armenian
    _script(0xD6, 0xDF, 60, 130),  # Hebrew, Arabic
    _script(0xE0, 0xE0, 75, 215),  # Indic scripts, Thai, Lao
    _script(0xE1, 0xE1, 130, 300),  # Vietnamese, Georgian, Ethiopic, Khmer
    _script(0xE2, 0xE2, 100, 200),  # punctuation, symbols
    _script(0xE3, 0xED, 100, 200),  # Chinese, Japanese, Korean
    _script(0xEE, 0xEF, 100, 300),  # private use, full-width forms
    _script(0xF0, 0xF4, 200, 400),  # emoji, rare characters
)


def weigh_text(text: str) -> TokenWeight:
    """The weight of a text, hundredths of a token. The sum of two texts' weights is that of both together."""
    data = text.encode("utf-8", "surrogatepass")
    marks = len(data.translate(None, _WORD_BYTES))
    if len(data) == len(text):  # ASCII
        return _weigh_ascii(len(text), marks)
    foreign = likely = most = 0
    for lead_bytes, weight in _SCRIPTS:
        count = len(data) - len(data.translate(None, lead_bytes))
        foreign += count
        likely += count * weight.likely
        most += count * weight.most
    bytes_of_foreign = len(data) - (len(text) - foreign)
    plain = _weigh_ascii(len(text) - foreign, marks - bytes_of_foreign)
    return TokenWeight(likely + plain.likely, most + plain.most)


def round_tokens(weight: int) -> int:
    """Whole tokens of a weight, rounded up."""
    return -(-weight // 100)


def estimate_tokens(text: str) -> int:
    """Likely tokens of a text, at least 1."""
    return max(1, round_tokens(weigh_text(text).likely))


def _weigh_ascii(characters: int, marks: int) -> TokenWeight:
    return TokenWeight(characters * _ASCII, (characters - marks) * _WORD_MOST + marks * _MARK_MOST)
