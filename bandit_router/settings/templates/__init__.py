"""The files that `init` writes: one per architecture."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files


class Template(StrEnum):
    """The architectures that `init` can begin with."""

    BANDIT = "bandit"
    HEURISTIC_CASCADE = "heuristic-cascade"
    CLASSIFIER = "classifier"
    TIERS = "tiers"


def text_of(template: Template = Template.BANDIT) -> str:
    """The text of the settings file that `init` writes."""
    folder = files(__package__)
    whole = (folder / "bandit.toml").read_text(encoding="utf-8")
    if template is Template.BANDIT:
        return whole
    policy = (folder / f"{template}.toml").read_text(encoding="utf-8")
    start, end = whole.index("[policy]"), whole.index("[trial]")
    return whole[:start] + policy + whole[end:]
