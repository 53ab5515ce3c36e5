"""The classifier and its file: the formula, the round trip, and every way a file can be wrong."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError, SchemaMismatch
from bandit_router.signals.classifier import Classifier, load_classifier, save_classifier
from tests.classifiers import a_classifier, saved

FIELDS = [f.name for f in fields(Classifier)]


def p_by_hand(classifier: Classifier, x: list[float]) -> float:
    terms = zip(classifier.coefficients, x, classifier.mean, classifier.scale, strict=True)
    z = classifier.intercept + sum(float(b * (v - m) / s) for b, v, m, s in terms)
    logit = classifier.calibration_slope * z + classifier.calibration_intercept
    return 1.0 / (1.0 + math.exp(-logit))


@given(seed=st.integers(0, 50), x=st.lists(st.floats(-3.0, 3.0), min_size=16, max_size=16))
def test_the_probability_is_the_formula(seed: int, x: list[float]) -> None:
    classifier = a_classifier(seed)
    assert classifier.p_complex(np.array(x)) == pytest.approx(p_by_hand(classifier, x), abs=1e-12)


def test_many_are_each() -> None:
    classifier, x = a_classifier(), np.random.default_rng(1).normal(size=(50, 16))
    each = [classifier.p_complex(row) for row in x]
    assert classifier.p_complex_many(x) == pytest.approx(each, abs=1e-14)


@pytest.mark.parametrize("size", [1e6, -1e6])
def test_no_context_overflows(size: float) -> None:
    assert 0.0 <= a_classifier().p_complex(np.full(16, size)) <= 1.0


def test_its_signals_name_the_file(tmp_path: Path) -> None:
    classifier, x = a_classifier(), np.ones(16)
    file = json.loads(saved(classifier, tmp_path).read_text())
    signals = classifier(None, x)
    assert signals == {"p_complex": classifier.p_complex(x), "classifier": file["sha256"][:12]}


# -- the file --------------------------------------------------------------------------------------


def test_round_trip(tmp_path: Path) -> None:
    classifier = a_classifier()
    path = saved(classifier, tmp_path)
    again = load_classifier(path)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(classifier, name), err_msg=name)
    x = np.random.default_rng(0).random(16)
    assert again.p_complex(x) == classifier.p_complex(x)
    assert again.digest == classifier.digest
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_checksum_is_of_the_content_not_of_its_layout(tmp_path: Path) -> None:
    path = saved(a_classifier(), tmp_path)
    content = json.loads(path.read_text())
    claimed = content.pop("sha256")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert claimed == hashlib.sha256(canonical.encode()).hexdigest()
    path.write_text(json.dumps({"sha256": claimed, **dict(reversed(content.items()))}))
    assert load_classifier(path).digest == claimed[:12]


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case str():
            return value + "x"
        case list():
            return [*value[:-1], value[-1] + 1e-12]
        case dict():
            return {**value, "low": 0.4}
    return value + 1e-9


@pytest.mark.parametrize("name", [*FIELDS, "dim", "sha256"])
def test_a_change_of_any_field_is_noticed(name: str, tmp_path: Path) -> None:
    path = saved(a_classifier(), tmp_path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {name: changed(content[name])}))
    with pytest.raises(ConfigError, match=r"classifier\.json: does not match its checksum.*train-classifier"):
        load_classifier(path)
    del content[name]
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="does not match its checksum"):
        load_classifier(path)


def forge(path: Path, **changes: Any) -> None:
    """Change the file and make the checksum fit, as a program that means well would."""
    content = json.loads(path.read_text()) | changes
    del content["sha256"]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": 2}, "has format 2, this package reads 1"),
        ({"schema_id": 3}, "schema_id is not text"),
        ({"threshold_why": None}, "threshold_why is not text"),
        ({"mean": [1.0]}, "mean is not a list of 16 numbers"),
        ({"dim": 15}, "is not a list of 15 numbers"),
        ({"coefficients": "1"}, "coefficients is not a list"),
        ({"coefficients": [True] * 16}, "coefficients is not a list"),
        ({"coefficients": [10**400] * 16}, "coefficients is not a list"),
        ({"scale": [0.0] * 16}, "scale is not above 0"),
        ({"scale": [1e-300] * 16, "coefficients": [1e200] * 16}, "overflow"),
        ({"intercept": "0"}, "intercept is not a number"),
        ({"calibration_slope": None}, "calibration_slope is not a number"),
        ({"threshold": 1.5}, r"threshold is not in \[0, 1\]"),
        ({"metrics": []}, "metrics is not a JSON object"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_a_right_checksum_does_not_excuse(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = saved(a_classifier(), tmp_path)
    forge(path, **changes)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_classifier(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("name", ["intercept", "threshold", "coefficients", "metrics"])
def test_only_finite_numbers(name: str, number: str, tmp_path: Path) -> None:
    path = saved(a_classifier(), tmp_path)
    content = json.loads(path.read_text())
    value = content[name]
    content[name] = ["?", *value[1:]] if isinstance(value, list) else {"?": "?"} if name == "metrics" else "?"
    path.write_text(json.dumps(content).replace('"?"', number).replace(f"{{{number}:", '{"low":'))
    with pytest.raises(ConfigError, match="not finite"):
        load_classifier(path)


def test_nothing_that_is_not_finite_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_classifier(a_classifier(intercept=math.nan), tmp_path / "c.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cannot be read as JSON"),
        ("[]", "not hold a JSON object"),
        ("{}", "has format None"),
        ("\x00", "JSON"),
    ],
)
def test_what_is_no_classifier(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        load_classifier(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.json: does not exist.*train-classifier --out"):
        load_classifier(tmp_path / "c.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_classifier(tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        save_classifier(a_classifier(), tmp_path / "nowhere" / "c.json")


def test_contexts_of_another_pipeline_are_refused() -> None:
    classifier = a_classifier()
    classifier.check_schema(classifier.schema_id, 16, "c.json")
    for schema_id, dim in (("vector/15", 16), (classifier.schema_id, 17)):
        with pytest.raises(SchemaMismatch, match=r"c\.json reads contexts.*\[features\].*train-classifier"):
            classifier.check_schema(schema_id, dim, "c.json")
