"""Elements of SVG as text: every attribute and every text is escaped, every number short and finite."""

from __future__ import annotations

import math
import re

from markupsafe import Markup, escape

__all__ = ["Markup", "make_element", "make_image", "make_number"]

Value = str | float | None

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML may contain."""


def make_element(tag: str, *children: str, **attributes: Value) -> Markup:
    """An element. ``_`` in the name of an attribute is ``-``, one at its end is dropped; None leaves it out.

    Raises ValueError for a number that is not finite.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_write_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    content = "".join(_escape(child) for child in children)
    return Markup(f"<{tag}{given}>{content}</{tag}>")


def make_image(title: str, description: str, *children: str, **attributes: Value) -> Markup:
    """A picture with its name and its description for those who do not see it."""
    named = make_element("title", title), make_element("desc", description)
    return make_element("svg", *named, *children, role="img", **attributes)


def make_number(value: float) -> str:
    """A number with two places at most. Raises ValueError unless it is finite."""
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be drawn")
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _write_value(value: str | float) -> str:
    return _escape(value) if isinstance(value, str) else make_number(value)


def _escape(text: str) -> str:
    """The text as XML may have it; markup stays as it is."""
    return str(text) if isinstance(text, Markup) else str(escape(_FORBIDDEN.sub("\ufffd", text)))
