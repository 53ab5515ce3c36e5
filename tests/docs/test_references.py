"""The generated references leave nothing out, and a role in a docstring names something that exists."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from bandit_router.server.app import create_api
from bandit_router.settings import Settings, make_settings
from tests.docs.code_blocks import ROOT
from tests.services import SMALL


@pytest.fixture
def extension(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "docs" / "extensions")
    return import_module(request.param)


def at(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("extension", [name], indirect=True)


@at("settings_reference")
def test_every_key_is_in_the_configuration_reference(extension: Any) -> None:
    text = extension.settings_markdown()
    schema = Settings.model_json_schema()["$defs"]
    keys = [key for section in schema.values() for key in section.get("properties", ())]
    assert [key for key in keys if f"**`{key}`**" not in text] == []
    assert [table for table in Settings.model_fields if f"[{table}]" not in text] == []


@at("settings_reference")
def test_the_variables_it_names_are_read(extension: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert extension.variable("store", "queue_size") in extension.settings_markdown()
    monkeypatch.setenv(extension.variable("store", "queue_size"), "77")
    assert make_settings({"arms": [SMALL]}).store.queue_size == 77


@at("http_reference")
def test_every_endpoint_is_in_the_http_reference(extension: Any) -> None:
    text = extension.http_markdown()
    paths = create_api(make_settings({"arms": [SMALL]})).openapi()["paths"]
    endpoints = [f"`{method.upper()} {path}`" for path, methods in paths.items() for method in methods]
    assert [endpoint for endpoint in endpoints if endpoint not in text] == []


@at("command_line_reference")
def test_every_command_is_in_the_command_line_reference(extension: Any) -> None:
    text = extension.command_line_markdown()
    commands = ("init", "serve", "evaluate", "arms list", "rules test")
    assert [command for command in commands if f"## `{command}`" not in text] == []
    assert "**`--template`** (`bandit` or `heuristic-cascade`" in text


@at("internal_references")
@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("bandit_router.policies.bandit", True),
        ("bandit_router.policies.bandit.LinUCB.pmf", True),
        ("bandit_router.policies.bandit.NoSuchPolicy", False),
        ("bandit_router.no_such_room", False),
        ("numpy.ndarray", False),
    ],
)
def test_a_role_has_to_name_something_of_the_package(extension: Any, name: str, there: bool) -> None:
    assert extension.exists(name) is there
