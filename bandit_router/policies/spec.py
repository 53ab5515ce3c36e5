"""The text of a policy's parameters: ``key=value,key=[another policy:key=value]``."""

from __future__ import annotations

from bandit_router.errors import ConfigError


def parse_parameters(spec: str, text: str, unnamed: str = "") -> dict[str, str]:
    """Keys and values of ``text``, a part of ``spec``; a value alone is that of the key ``unnamed``, if any.

    Raises ConfigError.
    """
    found: dict[str, str] = {}
    for part in filter(None, _split(spec, text)):
        key, equals, value = part.partition("=")
        if not equals:
            key, value = unnamed, part
        if not key:
            raise ConfigError(f"policy {spec!r}: {part!r} is not key=value")
        if key in found:
            raise ConfigError(f"policy {spec!r}: {key} is given twice; give it once")
        found[key] = value
    return found


def _split(spec: str, text: str) -> list[str]:
    """What commas separate, but for those in brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth < 0:
            break
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if depth:
        raise ConfigError(f"policy {spec!r}: has half a pair of brackets; write else=[thompson:v=1]")
    return parts
