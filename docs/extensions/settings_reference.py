"""The configuration reference, from Settings and its JSON schema: every table and key of router.toml."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_origin

from json_schema import describe_type, list_entry
from pydantic import BaseModel

from bandit_router.settings import Settings


def settings_markdown() -> str:
    """A section for each table of router.toml, in the order of ``Settings``."""
    return "\n".join(
        _table(name, *_section(field.annotation)) for name, field in Settings.model_fields.items()
    )


def _section(annotation: Any) -> tuple[type[BaseModel], bool]:
    """The model of a field of ``Settings``, and whether router.toml may have many of it."""
    choices = [choice for choice in get_args(annotation) if isinstance(choice, type)]
    return (choices[0], True) if choices else (annotation, False)


def _table(name: str, section: type[BaseModel], many: bool) -> str:
    schema = section.model_json_schema()
    named = get_origin(Settings.model_fields[name].annotation) is dict
    heading = f"[{name}.NAME]" if named else f"[[{name}]]" if many else f"[{name}]"
    lines = [f"(settings-{name})=\n\n## `{heading}`\n"]
    if section.__doc__:
        lines.append(schema["description"] + "\n")
    if many:
        kind = "object" if named else "list"
        lines.append(f"One such table for each. The variable `{variable(name)}` is a JSON {kind} of all.\n")
    for key, entry in _entries(section, schema.get("$defs", {})):
        lines.append(entry if many else f"{entry} `{variable(name, key)}`")
    return "\n".join([*lines, ""])


def _entries(
    section: type[BaseModel], schemas: Mapping[str, Any], indent: str = ""
) -> Iterator[tuple[str, str]]:
    """Each key of a table with its entry, and the keys of the tables in it."""
    properties = section.model_json_schema()["properties"]
    for key, field in section.model_fields.items():
        kind = field.annotation
        nested = isinstance(kind, type) and issubclass(kind, BaseModel)
        facts = ["table"] if nested else [describe_type(properties[key], _link_to(schemas), null=False)]
        if not nested:
            facts.append("required" if field.is_required() else f"default {_default(field)}")
        yield key, indent + list_entry(key, facts, properties[key].get("description", ""))
        if nested:
            yield from _entries(kind, schemas, indent + "  ")


def _link_to(schemas: Mapping[str, Any]) -> Callable[[str], str]:
    """Other schemas are written out in their place."""
    return lambda name: describe_type(schemas[name], _link_to(schemas))


def variable(*path: str) -> str:
    """The environment variable of a table or key."""
    config = Settings.model_config
    return f"{config.get('env_prefix')}{str(config.get('env_nested_delimiter')).join(path).upper()}"


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "none" if value is None or value == () else f"`{json.dumps(value)}`"
