"""From option texts to values, checked before a command does any work."""

from __future__ import annotations

import math
import os
from pathlib import Path

import typer

from bandit_router.cli.output import print_warning
from bandit_router.errors import InvalidInput
from bandit_router.objective.safety import SafetyGoal
from bandit_router.policies import Policy, parse_policy
from bandit_router.settings.safety import LEAST_AT_MOST
from bandit_router.signals.classifier import Classifier, load_classifier

LARGEST_WEIGHT = 1e9
"""The bound of a live router's cost weight; squares of it stay finite."""

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_EXAMPLES = {"columns": "text=prompt,model=llm", "arms": "gpt-4o=large,gpt-4o-mini=small"}


def check_weight(option: typer.CallbackParam, value: float | None) -> float | None:
    """The weight. Raises InvalidInput unless it is None or in [0, LARGEST_WEIGHT]; nan is refused."""
    if value is not None and not 0.0 <= value <= LARGEST_WEIGHT:
        raise InvalidInput(str(option.name), f"is {value:g}", f"give a number in [0, {LARGEST_WEIGHT:g}]")
    return value


def check_report_path(path: Path | None) -> Path | None:
    """The path. Raises InvalidInput unless a report page can be written there; None asks for no page."""
    if path is None:
        return None
    folder = path.parent
    if path.is_dir():
        raise InvalidInput("report", f"{path} is a folder", "name a file in it")
    if not folder.is_dir():
        raise InvalidInput("report", f"{folder} is not a folder", "create it, or name a file in another")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InvalidInput("report", f"{path} cannot be written", "name another file")
    return path


def parse_columns(text: str | None) -> dict[str, str] | None:
    """``text=prompt,model=llm``: a file's names of our columns. Raises InvalidInput."""
    return parse_pairs("columns", text)


def parse_scale(text: str | None) -> tuple[float, float] | None:
    """``1:5``: the worst and the best rating. Raises InvalidInput."""
    if text is None:
        return None
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        raise InvalidInput("scale", f"{text!r} is not WORST:BEST", "write 1:5") from None
    return low, high


def parse_duration(field: str, text: str | None) -> float | None:
    """``90s``, ``30m``, ``2h`` or ``7d`` in seconds; None without a text. Raises InvalidInput."""
    if text is None:
        return None
    number = text[:-1]
    if text[-1:] not in _UNITS or not number.isascii() or not number.isdecimal() or int(number) == 0:
        raise InvalidInput(field, f"{text!r} is not a duration", "write 90s, 30m, 2h or 7d")
    return float(int(number) * _UNITS[text[-1]])


def parse_pairs(field: str, text: str | None) -> dict[str, str] | None:
    """``name=value,name=value`` as a dict; None without a text. Raises InvalidInput."""
    if text is None:
        return None
    pairs: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, value = (word.strip() for word in pair.partition("="))
        if not (name and equals and value):
            raise InvalidInput(field, f"{pair!r} is not NAME=VALUE", f"write {_EXAMPLES[field]}")
        if name in pairs:
            raise InvalidInput(field, f"{name} is given twice", "give it once")
        pairs[name] = value
    return pairs


def parse_policies(specs: list[str]) -> dict[str, Policy]:
    """The policies of ``--policy``, by their texts. Raises InvalidInput for one that is given twice."""
    policies = {}
    for spec in specs:
        if spec in policies:
            raise InvalidInput("policy", f"{spec} is given twice", "give it once")
        policies[spec] = parse_policy(spec)
    return policies


def parse_safety(text: str) -> SafetyGoal:
    """``large=0.02``: the baseline, and the share of what it earns that may be lost. Raises InvalidInput."""
    baseline, _, share = text.rpartition("=")
    try:
        at_most = float(share)
    except ValueError:
        at_most = math.nan
    if not baseline or not LEAST_AT_MOST <= at_most <= 1.0:
        problem = f"{text!r} is not ARM=SHARE, with a share in [{LEAST_AT_MOST:g}, 1]"
        raise InvalidInput("safety", problem, "write large=0.02")
    return SafetyGoal(baseline=baseline, at_most=at_most)


def read_classifier(path: Path) -> Classifier:
    """The classifier of ``--classifier``; warns that it knows the queries it learned from best."""
    classifier = load_classifier(path)
    print_warning(
        f"classifier {classifier.digest} learned from {classifier.source}: "
        "on those queries it does better than on others"
    )
    return classifier
