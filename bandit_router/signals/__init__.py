"""Signals: numbers and short texts by name, computed from a query and its context."""

from __future__ import annotations

from bandit_router.signals.signallers import Signaller, compute_signals, make_signallers

__all__ = ["Signaller", "compute_signals", "make_signallers"]
