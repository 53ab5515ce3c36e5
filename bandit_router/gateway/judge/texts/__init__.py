"""The rubric and the prompts that a judge gets unless the settings name other files."""

from __future__ import annotations

from importlib.resources import files


def read_text(name: str) -> str:
    """The text of that name."""
    return (files(__package__) / f"{name}.txt").read_text(encoding="utf-8")
