"""Time-outs: how long a store waits for the locks, the statements and the connections of its database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bandit_router.settings.serving import StoreSection

_DEFAULTS = StoreSection()


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """Seconds; see the settings of the same names. ``statement_s`` is PostgreSQL's alone."""

    lock_s: float = _DEFAULTS.lock_timeout_s
    statement_s: float = _DEFAULTS.statement_timeout_s
    connect_s: float = _DEFAULTS.connect_timeout_s

    @classmethod
    def of(cls, section: StoreSection) -> Self:
        """The time-outs of the settings."""
        return cls(
            lock_s=section.lock_timeout_s,
            statement_s=section.statement_timeout_s,
            connect_s=section.connect_timeout_s,
        )


DEFAULT_TIMEOUTS = Timeouts()
