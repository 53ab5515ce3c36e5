"""The router.toml that `init` writes: the same arms and store for all, and one policy per template."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files


class Template(StrEnum):
    """The policies that `init` can begin with."""

    BANDIT = "bandit"
    HEURISTIC_CASCADE = "heuristic-cascade"
    CLASSIFIER = "classifier"
    TIERS = "tiers"


def read_template(template: Template = Template.BANDIT) -> str:
    """The text of the settings file that `init` writes."""
    folder = files(__package__)
    common, policy = ((folder / f"{name}.toml").read_text(encoding="utf-8") for name in ("common", template))
    return common + policy
