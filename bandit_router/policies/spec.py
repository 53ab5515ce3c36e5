"""The text of a policy's parameters: ``key=value,key=[another policy:key=value]``."""

from __future__ import annotations

from bandit_router.errors import ConfigError


def parse_parameters(spec: str, text: str, unnamed: str = "") -> dict[str, str]:
    """Keys and values in ``text``, a section of ``spec``; a bare value belongs to the key ``unnamed``.

    Raises ConfigError.
    """
    parameters: dict[str, str] = {}
    for item in filter(None, split_outside_brackets(spec, text, ",")):
        key, equals, value = item.partition("=")
        if not equals:
            key, value = unnamed, item
        if not key:
            raise ConfigError(f"policy {spec!r}: {item!r} is not key=value")
        if key in parameters:
            raise ConfigError(f"policy {spec!r}: {key} is given twice; give it once")
        parameters[key] = value
    return parameters


def split_outside_brackets(spec: str, text: str, separator: str) -> list[str]:
    """Split at separators outside brackets. Raises ConfigError."""
    items, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth < 0:
            break
        if character == separator and depth == 0:
            items.append("")
        else:
            items[-1] += character
    if depth:
        raise ConfigError(f"policy {spec!r}: has an unmatched bracket; write else=[thompson:v=1]")
    return items
