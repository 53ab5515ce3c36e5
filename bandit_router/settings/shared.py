"""The settings that all workers of a router share: their stored form, their fingerprint, their differences.

What one worker runs with and another does not care about stays out: the database, the server, the learner,
what is estimated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bandit_router.errors import ConfigError
from bandit_router.settings.models import Settings

LOCAL = ("store", "server", "learner", "insight")
"""Sections that each worker has for itself."""

_MISSING = object()
_LONGEST = 60


def dump_shared(settings: Settings) -> dict[str, Any]:
    """The shared sections as JSON values, without what is at its default.

    Defaults are left out, so that a version with a new setting has the same fingerprint for the same file.
    """
    shared = settings.model_dump(mode="json", exclude=set(LOCAL), exclude_defaults=True)
    return {name: section for name, section in shared.items() if section}


def compute_fingerprint(shared: Mapping[str, Any]) -> str:
    """SHA-256 of the shared sections, in hexadecimal."""
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def restore_shared(own: Settings, shared: Mapping[str, Any]) -> Settings:
    """These shared sections, with the local ones of ``own``. Raises ConfigError when they cannot be read."""
    sections = {}
    for name, field in Settings.model_fields.items():
        if name in LOCAL:
            continue
        if name not in shared:
            sections[name] = field.get_default(call_default_factory=True)
            continue
        try:  # a section alone: Settings would read the environment on top
            kind: Any = field.annotation
            sections[name] = TypeAdapter(kind).validate_python(shared[name])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, (name, *first["loc"])))
            raise ConfigError(f"{key}: {first['msg']}, in the settings that the database holds") from None
    return own.model_copy(update=sections)


def describe_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changes from ``old`` to ``new``, a line for each key: ``policy.name: 'tempered' -> 'linucb'``."""
    before, after = dict(_flatten(old, "")), dict(_flatten(new, ""))
    return [
        f"{key}: {_show(before.get(key, _MISSING))} -> {_show(after.get(key, _MISSING))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, _MISSING) != after.get(key, _MISSING)
    ]


def _flatten(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key; the tables of a list are known by their names."""
    if isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value):
        value = {item["name"]: item for item in value}
    if isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from _flatten(member, f"{key}.{name}" if key else name)
    else:
        yield key, value


def _show(value: Any) -> str:
    if value is _MISSING:
        return "not set"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
