"""Signallers compute the signals that hand-written policies read; every decision logs them.

A configured signal is computed whichever policy is live, so that `evaluate` can estimate a policy that reads
it from the log of another. Policies do no I/O: they read ``scores.signals``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from bandit_router.errors import ConfigError
from bandit_router.settings import Settings
from bandit_router.signals.classifier import P_COMPLEX, load_classifier
from bandit_router.signals.rules import COMPLEXITY, default_rules, make_rules
from bandit_router.types import NO_SIGNALS, FloatArray, Query, Signals


class Signaller(Protocol):
    """Computes signals by name. Thread-safe."""

    def __call__(self, query: Query | None, x: FloatArray) -> Signals:
        """The signals of a query whose context is x (d,); the query is None if the caller sends vectors."""
        ...


def make_signallers(
    settings: Settings, schema_id: str, dim: int, wanted: Collection[str] = ()
) -> tuple[Signaller, ...]:
    """The signallers that the settings configure, and those of the ``wanted`` signals of the live policy.

    ``schema_id`` and ``dim`` are those of the router's contexts. Raises ConfigError or SchemaMismatch.
    """
    signallers: list[Signaller] = []
    if settings.rules or COMPLEXITY in wanted:
        signallers.append(make_rules(settings.rules or default_rules()))
    if settings.classifier.artifact is not None:
        classifier = load_classifier(settings.classifier.artifact)
        classifier.check_schema(schema_id, dim, settings.classifier.artifact)
        signallers.append(classifier)
    elif P_COMPLEX in wanted:
        raise ConfigError(
            "classifier.artifact: is missing, and the policy reads it; name the file that "
            "`bandit-router train-classifier` wrote"
        )
    return tuple(signallers)


def compute_signals(signallers: Sequence[Signaller], query: Query | None, x: FloatArray) -> Signals:
    """The signals of all signallers together."""
    if not signallers:
        return NO_SIGNALS
    return {name: value for signaller in signallers for name, value in signaller(query, x).items()}
