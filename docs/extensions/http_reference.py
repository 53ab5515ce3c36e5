"""The HTTP reference, from the application's OpenAPI document: every endpoint, body, answer and status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from json_schema import Schema, describe_type, list_entry, name_of

from bandit_router.server.app import create_api
from bandit_router.settings import make_settings

_ARM = {"name": "small", "input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.60}


def http_markdown() -> str:
    """A section for each endpoint, then one for each schema that an answer refers to."""
    document = create_api(make_settings({"arms": [_ARM]})).openapi()
    schemas: dict[str, Schema] = document.get("components", {}).get("schemas", {})
    endpoints = [
        _endpoint(method, path, operation, schemas)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    answers = {_answer_name(operation) for path in document["paths"].values() for operation in path.values()}
    inside = {name for answer in answers if answer for name in _names_in(schemas[answer])}
    shared = sorted(_referred(schemas, inside))
    objects = ["## Objects in answers\n", *(_object(name, schemas[name]) for name in shared)]
    return "\n".join([*endpoints, *objects])


def _endpoint(method: str, path: str, operation: Schema, schemas: dict[str, Schema]) -> str:
    lines = [f"## `{method.upper()} {path}`\n", f"{operation['summary']}.\n"]
    if "externalDocs" in operation:
        lines.append(
            f"Part of the [gateway](../concepts/gateway.md), after {operation['externalDocs']['url']}.\n"
        )
    if operation.get("parameters"):
        lines += ["**Parameters**\n", *map(_parameter, operation["parameters"]), ""]
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        lines += [f"**Body.** {body.get('description', '')}\n", *_properties(body), ""]
        lines += [f"```json\n{json.dumps(example, indent=2)}\n```\n" for example in body.get("examples", [])]
    name = _answer_name(operation)
    if name:
        heading = "**Answer.** A list of these." if _is_list(operation) else "**Answer.**"
        lines += [f"{heading} {schemas[name].get('description', '')}\n", *_properties(schemas[name]), ""]
    lines += ["**Statuses**\n", *_statuses(operation), ""]
    return "\n".join(lines)


def _parameter(parameter: Schema) -> str:
    facts = [
        {"query": "in the query string", "path": "in the path", "header": "header"}[parameter["in"]],
        describe_type(parameter.get("schema", {})),
    ]
    if "default" in parameter.get("schema", {}):
        facts.append(f"default `{parameter['schema']['default']}`")
    return list_entry(parameter["name"], facts, parameter.get("description", ""))


def _statuses(operation: Schema) -> Iterator[str]:
    for status, response in operation["responses"].items():
        description = response["description"]
        yield f"- `{status}` {'The answer' if description == 'Successful Response' else description}."


def _answer_name(operation: Schema) -> str:
    schema = _answer_schema(operation)
    return name_of(schema.get("items", schema))


def _is_list(operation: Schema) -> bool:
    return _answer_schema(operation).get("type") == "array"


def _answer_schema(operation: Schema) -> Schema:
    content = operation["responses"].get("200", {}).get("content", {})
    schema: Schema = content.get("application/json", {}).get("schema", {})
    return schema


def _referred(schemas: dict[str, Schema], names: set[str]) -> set[str]:
    """The schemas that are named by these, by what they name, and so on."""
    reached: set[str] = set()
    waiting = {name for name in names if name}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= set(_names_in(schemas[name])) - reached
    return reached


def _names_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if name_of(schema):
            yield name_of(schema)
        for value in schema.values():
            yield from _names_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _names_in(value)


def _object(name: str, schema: Schema) -> str:
    heading = f"(http-{name.lower()})=\n\n### `{name}`\n\n{schema.get('description', '')}\n"
    if "enum" in schema:
        return f"{heading}\nOne of {describe_type(schema)}.\n"
    return "\n".join([heading, *_properties(schema), ""])


def _properties(schema: Schema) -> Iterator[str]:
    required = schema.get("required", [])
    for name, value in schema.get("properties", {}).items():
        facts = [describe_type(value, _link)]
        if name not in required:
            facts.append("may be left out")
        yield list_entry(name, facts, value.get("description", ""))


def _link(name: str) -> str:
    return f"[{name}](#http-{name.lower()})"
