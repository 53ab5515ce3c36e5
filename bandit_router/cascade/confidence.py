"""Confidence of a model in its answer, in [0, 1], from log-probabilities, a self-check or its words.

==============  ===================================================================================
token           :func:`of_logprobs`, from the log-probabilities of the answer's tokens
self-check      :func:`self_check`, a prompt for one more call, and :func:`of_self_check` or
                :func:`yes_probability` for what comes back
agreement       :func:`of_agreement`, from two short answers to the same question
stated          :data:`STATE_IT`, to be added to the prompt, and :func:`stated` for the answer
the caller's    any number in [0, 1]
==============  ===================================================================================

Such numbers rank answers better than they say how often answers are right (Guo et al., On calibration of
modern neural networks, ICML 2017; Xiong et al., Can LLMs express their uncertainty?, ICLR 2024): see
:mod:`bandit_router.posterior.confidence`. Use 0.0 for a model that was asked
for a number and gave none: nearly all such answers are wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from bandit_router.errors import InvalidInput

STATE_IT = (
    "End with one line that says how likely it is that your answer is correct, "
    "as a percentage, in this form:\nConfidence: 85%"
)
"""An instruction to the model; :func:`stated` reads the answer."""

_SELF_CHECK = """Here is a question and a proposed answer.

Question:
{question}

Proposed answer:
{answer}

Is the proposed answer correct? Reply with one word, Yes or No."""

_STATED = re.compile(
    r"\bconfidence\b(?:\s+(?:level|score))?[\s*_:=\"'(]{1,12}(\d{1,3}(?:\.\d{1,12})?|\.\d{1,12})\s?(%|/\s?100\b)?",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+(?:[.,]\d+)*")
_YES_OR_NO = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def of_logprobs(logprobs: Sequence[float], how: Literal["mean", "min"] = "mean") -> float:
    """The geometric mean probability of an answer's tokens, or that of the least probable one.

    ``exp(mean ln p)`` is the likelihood, normalised for length (Malinin & Gales, Uncertainty estimation in
    autoregressive structured prediction, ICLR 2021, section 3); ``exp(min ln p)`` finds one doubtful word in
    a long answer (Manakul et al., SelfCheckGPT, EMNLP 2023, section 5). Raises InvalidInput.
    """
    if not logprobs:
        raise InvalidInput("logprobs", "is empty", "give the log-probability of every token of the answer")
    if not all(value <= 1e-6 for value in logprobs):  # rounding may leave a sure token above 0; NaN fails
        raise InvalidInput("logprobs", "has a number above 0", "give natural logarithms of probabilities")
    logprob = min(logprobs) if how == "min" else math.fsum(logprobs) / len(logprobs)
    return min(1.0, math.exp(logprob))


def self_check(question: str, answer: str) -> str:
    """The prompt of a self-check: P(True) of Kadavath et al. (2022), arXiv 2207.05221.

    It contains the answer, so send it as a separate call and keep it out of the retry.
    """
    return _SELF_CHECK.format(question=question, answer=answer)


def of_self_check(reply: str) -> float | None:
    """1 for a reply that begins with yes, 0 for no, None for neither."""
    match = _YES_OR_NO.match(reply)
    return None if match is None else float(match[1].lower() == "yes")


def yes_probability(top_logprobs: Mapping[str, float]) -> float | None:
    """P(yes) / (P(yes) + P(no)) from the log-probabilities of a reply's first token; None without either.

    Finer than :func:`of_self_check`. Spelling and spaces do not matter: " Yes" and "yes" add up.
    """
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in top_logprobs.items():
        word = token.strip().lower()
        if word in mass and logprob <= 1e-6:
            mass[word] += math.exp(logprob)
    total = mass["yes"] + mass["no"]
    return mass["yes"] / total if total > 0.0 else None


def of_agreement(sample: str, another: str) -> float:
    """How alike two short answers to one question are: the share of their words that both have (Jaccard).

    Answers that a model is sure of come out alike (Wang et al., Self-consistency improves chain of thought
    reasoning, ICLR 2023). Case and punctuation do not matter; 0 for two answers without a word.
    """
    one, other = (frozenset(_WORD.findall(answer.lower())) for answer in (sample, another))
    return len(one & other) / len(one | other) if one | other else 0.0


def stated(answer: str) -> float | None:
    """The last ``Confidence: 85%`` of an answer, also as ``0.85`` or ``85/100``; None if it has none.

    A number above 1 without a sign is a percentage. A number above 100% counts as none.
    """
    confidence: float | None = None
    for number, sign in _STATED.findall(answer):
        value = float(number)
        share = value / 100.0 if sign or value > 1.0 else value
        confidence = share if share <= 1.0 else None
    return confidence
