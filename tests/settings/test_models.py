"""The configuration reference is generated from the settings: every section and key must explain itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from bandit_router.policies import make_policy
from bandit_router.settings import Settings, make_settings


def section_of(field: FieldInfo) -> type[BaseModel]:
    model = next((t for t in get_args(field.annotation) if isinstance(t, type)), field.annotation)
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model


SECTIONS = {name: section_of(field) for name, field in Settings.model_fields.items()}


def described_fields() -> Iterator[tuple[str, FieldInfo]]:
    yield from Settings.model_fields.items()
    for name, section in SECTIONS.items():
        for key, field in section.model_fields.items():
            yield f"{name}.{key}", field


FIELDS = dict(described_fields())


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_says_what_it_is_for(section: str) -> None:
    doc = SECTIONS[section].__doc__
    assert doc
    assert doc.split("\n")[0].endswith((".", ":"))
    assert doc != BaseModel.__doc__


@pytest.mark.parametrize("name", FIELDS)
def test_every_key_has_a_description(name: str) -> None:
    assert FIELDS[name].description
    assert str(FIELDS[name].description).endswith(".")


@pytest.mark.parametrize("name", [name for name in FIELDS if "." in name])
def test_every_example_of_a_key_is_a_legal_value(name: str) -> None:
    field = FIELDS[name]
    for example in field.examples or ():
        TypeAdapter(field.rebuild_annotation()).validate_python(example)


@pytest.mark.parametrize(
    "section", ["policy", "arms", "budget", "rules", "workflows", "classifier", "cascade"]
)
def test_every_example_of_a_section_loads(section: str) -> None:
    examples = Settings.model_fields[section].examples
    assert examples
    for example in examples:
        settings = make_settings({section: example})
        make_policy(settings.policy.name, settings.policy.parameters)
