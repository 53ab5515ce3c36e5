"""JSON schemas in words: the type and limits of a value, and a list entry that says what a name means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._/@:+-]"
"""How the pattern of a name begins; the pages say what a name is."""

_WORDS = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "array": "list",
    "object": "table",
    "null": "null",
}
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} of them"),
    ("minProperties", "at least {} of them"),
)


def name_of(schema: Schema) -> str:
    """The name of the schema that a ``$ref`` points to; empty without one."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def describe_type(schema: Schema, link: Callable[[str], str] = str, *, null: bool = True) -> str:
    """The type and limits of a value, as "number, at least 0"; ``link`` renders the name of another schema.

    ``null`` False leaves out that a value may be null.
    """
    if name_of(schema):
        return link(name_of(schema))
    if either := schema.get("anyOf") or schema.get("oneOf"):
        choices = [choice for choice in either if null or choice.get("type") != "null"]
        return " or ".join(describe_type(choice, link) for choice in choices)
    if str(schema.get("pattern", "")).startswith(NAME_PATTERN):
        return "name"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    words = _WORDS.get(schema.get("type", ""), "any value")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping) and schema[key]:
            words += f" of {describe_type(schema[key], link)}"
    return ", ".join([words, *_limits(schema)])


def _limits(schema: Schema) -> list[str]:
    limits = [words.format(f"{schema[key]:,.10g}") for key, words in _BOUNDS if key in schema]
    return [*limits, f"matches `{schema['pattern']}`"] if "pattern" in schema else limits


def list_entry(name: str, facts: Sequence[str], text: str) -> str:
    """One entry of a Markdown list: a name, facts about its value, and what it means."""
    heading = f"- **`{name}`**" + (f" ({'; '.join(facts)})" if facts else "")
    return f"{heading}: {text}" if text else heading
