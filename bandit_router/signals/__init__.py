"""Query and context -> signals: what hand-written policies go by, logged with every decision.

A signal is made whenever it is configured, whichever policy is live, so that `evaluate` can judge the
policy that reads it on the log of another. Policies do no I/O: they read ``scores.signals``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from bandit_router.errors import ConfigError
from bandit_router.settings import Settings
from bandit_router.signals.classifier import P_COMPLEX, load_classifier
from bandit_router.signals.rules import COMPLEXITY, default_rules, make_rules
from bandit_router.types import NO_SIGNALS, FloatArray, Query, Signals

__all__ = ["Signaller", "compute_signals", "make_signallers"]


class Signaller(Protocol):
    """Makes some signals. Thread-safe."""

    def __call__(self, query: Query | None, x: FloatArray) -> Signals:
        """The signals of a query whose context is x (d,); of a caller who sends vectors there is no query."""
        ...


def make_signallers(
    settings: Settings, schema_id: str, dim: int, wanted: Collection[str] = ()
) -> tuple[Signaller, ...]:
    """What the settings configure, and what the live policy wants of signals by name.

    ``schema_id`` and ``dim`` are those of the router's contexts. Raises ConfigError or SchemaMismatch.
    """
    made: list[Signaller] = []
    if settings.rules or COMPLEXITY in wanted:
        made.append(make_rules(settings.rules or default_rules()))
    if settings.classifier.artifact is not None:
        classifier = load_classifier(settings.classifier.artifact)
        classifier.check_schema(schema_id, dim, settings.classifier.artifact)
        made.append(classifier)
    elif P_COMPLEX in wanted:
        raise ConfigError(
            "classifier.artifact: is missing, and the policy goes by it; name the file that "
            "`bandit-router train-classifier` wrote"
        )
    return tuple(made)


def compute_signals(signallers: Sequence[Signaller], query: Query | None, x: FloatArray) -> Signals:
    """The signals of all signallers together."""
    if not signallers:
        return NO_SIGNALS
    return {name: value for signaller in signallers for name, value in signaller(query, x).items()}
