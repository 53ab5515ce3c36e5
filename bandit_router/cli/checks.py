"""What is checked of options before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from bandit_router.errors import InvalidInput

LARGEST_WEIGHT = 1e9
"""As for a live router, so that the squares of cost weights are finite too."""

_EXAMPLES = {"columns": "text=prompt,model=llm", "arms": "gpt-4o=large,gpt-4o-mini=small"}


def check_weight(field: str, value: float | None) -> None:
    """InvalidInput unless the value is missing or in [0, LARGEST_WEIGHT]; nan is not."""
    if value is not None and not 0.0 <= value <= LARGEST_WEIGHT:
        raise InvalidInput(field, f"is {value:g}", f"give a number in [0, {LARGEST_WEIGHT:g}]")


def check_page(path: Path | None) -> None:
    """InvalidInput unless a page can be written there, if one is to be."""
    if path is None:
        return
    folder = path.parent
    if path.is_dir():
        raise InvalidInput("report", f"{path} is a folder", "name a file in it")
    if not folder.is_dir():
        raise InvalidInput("report", f"{folder} is not a folder", "make it, or name a file in another")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InvalidInput("report", f"{path} cannot be written", "name another file")


def read_columns(text: str | None) -> dict[str, str] | None:
    """``text=prompt,model=llm``: what a file calls our columns. Raises InvalidInput."""
    return read_pairs("columns", text)


def read_pairs(field: str, text: str | None) -> dict[str, str] | None:
    """``name=value,name=value``, or None where there is no text. Raises InvalidInput."""
    if text is None:
        return None
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (name and equals and value):
            raise InvalidInput(field, f"{part!r} is not NAME=VALUE", f"write {_EXAMPLES[field]}")
        if name in found:
            raise InvalidInput(field, f"{name} is given twice", "give it once")
        found[name] = value
    return found
