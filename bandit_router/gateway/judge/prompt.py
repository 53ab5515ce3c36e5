"""What a judge is asked: a text made of a rubric, a conversation and its answers, and of nothing else.

It never names an arm. Each conversation and answer stands between marks that depend on all of them, so that
no text can close its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from string import Template

from bandit_router.errors import ConfigError
from bandit_router.gateway.judge.texts import read_text

MOST_CHARS = 24_000
"""Characters of a text that a judge gets to read; of a longer one it gets the beginning and the end."""

_MARK_CHARS = 16


class JudgeQuestion(StrEnum):
    """What a judge can be asked; the values name the texts of the prompts."""

    POINTWISE = "pointwise"
    REFERENCE = "reference"
    PAIRWISE = "pairwise"


_PLACES = {
    JudgeQuestion.POINTWISE: ("query", "answer"),
    JudgeQuestion.REFERENCE: ("query", "answer", "reference"),
    JudgeQuestion.PAIRWISE: ("query", "answer_a", "answer_b"),
}
"""Where the texts go: names that a prompt has to have, each with a ``$`` before it."""


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """The prompt of one question, with its rubric."""

    question: JudgeQuestion
    template: Template
    rubric: str

    def write(self, **texts: str) -> str:
        """The prompt for these texts, by their places: ``query`` and ``answer``, for example."""
        shortened = {place: shorten(texts[place]) for place in _PLACES[self.question]}
        return self.template.substitute(shortened, rubric=self.rubric, mark=_make_mark(shortened.values()))


def read_judge_prompt(
    question: JudgeQuestion, prompt: Path | None = None, rubric: Path | None = None
) -> JudgePrompt:
    """The prompt in a file with the rubric in another; ours where none is named.

    Raises ConfigError for a file that cannot be read, and a prompt that lacks a place or has an unknown one.
    """
    text = read_text(question) if prompt is None else _read_file("judge.prompt", prompt)
    template = Template(text)
    wanted = {*_PLACES[question], "rubric"}
    places = set(template.get_identifiers()) if template.is_valid() else set()
    if not wanted <= places <= wanted | {"mark"}:
        raise ConfigError(
            f"judge.prompt {prompt}: must have ${', $'.join(sorted(wanted))}, may have $mark, and nothing "
            "else with a dollar sign; write $$ for one"
        )
    criteria = read_text("rubric") if rubric is None else _read_file("judge.rubric", rubric)
    return JudgePrompt(question, template, criteria.strip())


def shorten(text: str, most: int = MOST_CHARS) -> str:
    """The text, or the beginning and the end of one with more than ``most`` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def _make_mark(texts: Iterable[str]) -> str:
    """A mark that no text can foresee: it is a hash of all of them."""
    return hashlib.sha256("\0".join(texts).encode(errors="replace")).hexdigest()[:_MARK_CHARS]


def _read_file(field: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{field} {path}: cannot be read: {error}") from error
