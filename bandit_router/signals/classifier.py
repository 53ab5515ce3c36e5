"""Classifier: P(complex | x) by logistic regression, and the file that stores it.

The file is JSON, so that loading it runs nothing and anyone can read it. It names the pipeline whose
contexts it reads, its training data and its metrics, and ends with the SHA-256 of all this.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from bandit_router.errors import ConfigError, SchemaMismatch
from bandit_router.types import FloatArray, Query, Signals
from bandit_router.validation import convert_to_float

FORMAT = 1
"""Raise it with every change of what the file holds or means."""

P_COMPLEX, CLASSIFIER = "p_complex", "classifier"
"""The signals: the probability, and the first digits of the checksum of the classifier's file."""

_REMEDY = "train it again with `bandit-router train-classifier`"
_VECTORS = ("mean", "scale", "coefficients")
_NUMBERS = ("intercept", "calibration_slope", "calibration_intercept", "threshold")
_TEXTS = ("schema_id", "cheap", "expensive", "threshold_why", "trained_at", "source")
_DIGEST_CHARS = 12
_LARGEST = 1e300


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Logistic regression on standardised contexts, calibrated::

        z = intercept + Σ_j coefficients_j · (x_j − mean_j) / scale_j
        P(complex | x) = 1 / (1 + exp(−(calibration_slope · z + calibration_intercept)))

    ``mean``, ``scale`` and ``coefficients`` have shape (d,), and ``schema_id`` names the pipeline that makes
    such x. ``threshold`` is the one that was chosen in training, with the reason why. ``metrics`` are
    cross-validated figures, in JSON types. Times are ISO 8601, UTC.
    """

    schema_id: str
    mean: FloatArray
    scale: FloatArray
    coefficients: FloatArray
    intercept: float
    calibration_slope: float
    calibration_intercept: float
    cheap: str
    expensive: str
    threshold: float
    threshold_why: str
    trained_at: str
    source: str
    metrics: Mapping[str, Any]

    @property
    def dim(self) -> int:
        return self.coefficients.size

    @cached_property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the file's checksum."""
        return _checksum(_to_json(self))[:_DIGEST_CHARS]

    @cached_property
    def _weights(self) -> FloatArray:
        return self.calibration_slope * self.coefficients / self.scale

    @cached_property
    def _bias(self) -> float:
        centred = self.intercept - float(self.coefficients @ (self.mean / self.scale))
        return self.calibration_slope * centred + self.calibration_intercept

    def p_complex(self, x: FloatArray) -> float:
        """P(complex | x) of one context x (d,)."""
        return 0.5 + 0.5 * math.tanh(0.5 * (float(self._weights @ x) + self._bias))

    def p_complex_many(self, x: FloatArray) -> FloatArray:
        """P(complex | x) of contexts x (n, d), shape (n,)."""
        probabilities: FloatArray = 0.5 + 0.5 * np.tanh(0.5 * (x @ self._weights + self._bias))
        return probabilities

    def __call__(self, query: Query | None, x: FloatArray) -> Signals:
        """The signals of a context x (d,); the query is not read."""
        del query
        return {P_COMPLEX: self.p_complex(x), CLASSIFIER: self.digest}

    def check_schema(self, schema_id: str, dim: int, where: str | Path) -> None:
        """Raise SchemaMismatch unless contexts of this pipeline, of length ``dim``, are what it reads."""
        if (schema_id, dim) != (self.schema_id, self.dim):
            raise SchemaMismatch(
                "classifier.artifact",
                f"{where} reads contexts {self.schema_id!r} of {self.dim} numbers, "
                f"these are {schema_id!r} of {dim}",
                f"restore the [features] settings it was trained with, or {_REMEDY}",
            )


def save_classifier(classifier: Classifier, path: Path) -> None:
    """Write the file, whole or not at all. Raises ConfigError when it cannot be written."""
    content = _to_json(classifier)
    text = json.dumps(content | {"sha256": _checksum(content)}, indent=1, allow_nan=False)
    scratch = path.with_name(path.name + ".part")
    try:
        scratch.write_text(text + "\n", encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def load_classifier(path: str | Path) -> Classifier:
    """The classifier in a file.

    Raises ConfigError, which names the file and what is wrong with it: no such file, not JSON, another
    format, a checksum that does not match, a field that is missing, of the wrong kind or not finite.
    """
    content = _read_json(path)
    if content.get("format") != FORMAT:
        _refuse(path, f"has format {content.get('format')!r}, this package reads {FORMAT}")
    claimed = content.pop("sha256", None)
    try:
        actual = _checksum(content)
    except ValueError:
        _refuse(path, "holds a number that is not finite")
    if claimed != actual:
        _refuse(path, "does not match its checksum, so it was changed or damaged")
    return _build_classifier(path, content)


def _read_json(path: str | Path) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: does not exist; make it with `bandit-router train-classifier --out {path}`"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        _refuse(path, f"cannot be read as JSON: {error}")
    if not isinstance(content, dict):
        _refuse(path, "does not hold a JSON object")
    return content


def _build_classifier(path: str | Path, content: dict[str, Any]) -> Classifier:
    names = {f.name for f in fields(Classifier)}
    if problem := names.symmetric_difference(content.keys() - {"format", "dim"}):
        _refuse(path, f"lacks, or should not have, {', '.join(sorted(problem))}")
    values = {name: content[name] for name in names}
    for name in _TEXTS:
        if not isinstance(values[name], str):
            _refuse(path, f"{name} is not text")
    for name in _NUMBERS:
        if not _is_number(values[name]):
            _refuse(path, f"{name} is not a number")
    dim = content.get("dim")
    for name in _VECTORS:
        vector = values[name]
        if not isinstance(vector, list) or len(vector) != dim or not all(map(_is_number, vector)):
            _refuse(path, f"{name} is not a list of {dim} numbers")
        values[name] = np.array(vector, dtype=np.float64)
    if not (values["scale"] > 0.0).all():
        _refuse(path, "scale is not above 0")
    if not 0.0 <= values["threshold"] <= 1.0:
        _refuse(path, "threshold is not in [0, 1]")
    if not isinstance(values["metrics"], dict):
        _refuse(path, "metrics is not a JSON object")
    classifier = Classifier(**values)
    with np.errstate(all="ignore"):
        if not (np.isfinite(classifier._weights).all() and math.isfinite(classifier._bias)):
            _refuse(path, "has coefficients that overflow")
    return classifier


def _is_number(value: object) -> bool:
    number = convert_to_float(value)
    return number is not None and abs(number) <= _LARGEST


def _to_json(classifier: Classifier) -> dict[str, Any]:
    values = {f.name: getattr(classifier, f.name) for f in fields(Classifier)}
    vectors = {name: values[name].tolist() for name in _VECTORS}
    return {"format": FORMAT, "dim": classifier.dim, **values, **vectors}


def _checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content as JSON with sorted keys; ValueError where a number is not finite."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(path: str | Path, problem: str) -> NoReturn:
    raise ConfigError(f"{path}: {problem}; {_REMEDY}")
