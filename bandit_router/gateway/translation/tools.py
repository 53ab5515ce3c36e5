"""The tools of a chat request, and which of them may or must be called."""

from __future__ import annotations

import json
from typing import Any

import orjson

from bandit_router.gateway.translation.closed import Members, Untranslatable, iterate_list
from bandit_router.gateway.translation.turns import TOOL_NAME

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_COMBINED = ("oneOf", "anyOf", "allOf")
"""Keywords that Anthropic does not take at the top of a schema."""


def translate_tools(members: Members) -> dict[str, Any]:
    """The fields ``tools`` and ``tool_choice``, as far as there are tools. Raises Untranslatable."""
    given, choice = members.take("tools"), members.take("tool_choice")
    parallel = members.take_flag("parallel_tool_calls")
    if not given:
        if given not in (None, []):
            members.refuse("tools")
        if choice not in (None, "auto", "none"):
            members.refuse("tool_choice")
        return {}
    tools: dict[str, dict[str, Any]] = {}
    for place, given_tool in iterate_list(given, members.at("tools")):
        tool = _translate_tool(given_tool, place)
        if tool["name"] in tools:
            raise Untranslatable(f"{place}.function.name")
        tools[tool["name"]] = tool
    translated = _translate_choice(choice, members.at("tool_choice"), tools)
    if parallel is False and translated["type"] != "none":
        translated["disable_parallel_tool_use"] = True
    return {"tools": list(tools.values()), "tool_choice": translated}


def _translate_tool(tool: object, place: str) -> dict[str, Any]:
    members = Members(tool, place)
    if members.take("type") != "function":
        members.refuse("type")
    function = Members(members.take("function"), members.at("function"))
    name = function.take_text("name")
    if not TOOL_NAME.fullmatch(name):
        function.refuse("name")
    translated: dict[str, Any] = {"name": name}
    description = function.take("description")
    if description is not None and not isinstance(description, str):
        function.refuse("description")
    if description:
        translated["description"] = description
    function.take_neutral("strict", False)  # the schemas that either API takes strictly differ
    parameters = function.take("parameters")
    translated["input_schema"] = _translate_schema(parameters, function.at("parameters"))
    function.finish()
    members.finish()
    return translated


def _translate_schema(schema: object, place: str) -> object:
    """The same schema; without one there are no parameters."""
    if schema is None:
        return {"type": "object", "properties": {}}
    if (
        not isinstance(schema, dict)
        or schema.get("type") != "object"
        or any(key in schema for key in _COMBINED)
    ):
        raise Untranslatable(place)
    try:  # orjson writes neither large integers nor infinity
        return orjson.Fragment(json.dumps(schema, ensure_ascii=False, allow_nan=False))
    except ValueError:
        raise Untranslatable(place) from None


def _translate_choice(choice: object, place: str, tools: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if choice is None:
        return {"type": "auto"}
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise Untranslatable(place)
        return {"type": _CHOICES[choice]}
    members = Members(choice, place)
    if members.take("type") != "function":
        members.refuse("type")
    function = Members(members.take("function"), members.at("function"))
    name = function.take_text("name")
    if name not in tools:
        function.refuse("name")
    function.finish()
    members.finish()
    return {"type": "tool", "name": name}
