"""Does a value conform to a schema of an OpenAPI document? The part of JSON Schema that ours uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "object": dict,
    "array": list,
    "null": type(None),
    "boolean": bool,
}
_ANNOTATIONS = {"title", "description", "examples", "default"}
_CHECKED = {"$ref", "anyOf", "type", "enum", "properties", "required", "additionalProperties", "items"}
_CHECKED |= {"maxLength", "minProperties"}


def violations(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str = "$") -> list[str]:
    """What is wrong with ``value``; fails on a schema keyword it does not know, rather than pass it."""
    unknown = schema.keys() - _ANNOTATIONS - _CHECKED
    assert not unknown, f"teach this checker {unknown}"
    if "$ref" in schema:
        return violations(value, resolve(schema["$ref"], document), document, at)
    if "anyOf" in schema:
        tries = [violations(value, option, document, at) for option in schema["anyOf"]]
        return [] if [] in tries else [f"{at}: {value!r} is none of {schema['anyOf']}"]
    return [
        *_scalar(value, schema, at),
        *_object(value, schema, document, at),
        *_array(value, schema, document, at),
    ]


def resolve(reference: str, document: dict[str, Any]) -> dict[str, Any]:
    """The schema that ``#/a/b/c`` refers to."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def references(node: Any) -> Iterator[str]:
    """Every $ref anywhere in a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for member in node.values():
            yield from references(member)
    elif isinstance(node, list):
        for member in node:
            yield from references(member)


def _scalar(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    kind = schema.get("type")
    if kind is not None:
        wrong_bool = isinstance(value, bool) and kind != "boolean"
        if wrong_bool or not isinstance(value, _TYPES[kind]):
            yield f"{at}: {value!r} is not of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not one of {schema['enum']}"
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield f"{at}: is longer than {schema['maxLength']}"


def _object(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    yield from (f"{at}: lacks {name}" for name in schema.get("required", ()) if name not in value)
    if len(value) < schema.get("minProperties", 0):
        yield f"{at}: has {len(value)} members"
    for name, member in value.items():
        if name in properties:
            yield from violations(member, properties[name], document, f"{at}.{name}")
        elif isinstance(others, dict):
            yield from violations(member, others, document, f"{at}.{name}")
        elif others is False:
            yield f"{at}: has an undeclared {name}"


def _array(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str) -> Iterator[str]:
    if isinstance(value, list) and "items" in schema:
        for i, member in enumerate(value):
            yield from violations(member, schema["items"], document, f"{at}[{i}]")
