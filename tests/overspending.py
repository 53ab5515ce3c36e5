"""`bandit-router` whose ledger checks a budget and reserves nothing of it: a negative control.

python -m tests.overspending serve ...
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from bandit_router.security.budget import CallBudget
from bandit_router.server import supervisor
from bandit_router.store.key_ledger import KeyLedger, Reservation, find_key_day
from bandit_router.types import Decision

MODULE = "tests.overspending"


def check_only(self: KeyLedger, decision: Decision, budget: CallBudget) -> None:
    """Check, act, and book what it cost: what is under way is not counted meanwhile."""
    self._reservations[decision.id] = Reservation(find_key_day(decision, budget), 0)


def app() -> Any:
    """The application of the service, in a worker."""
    from bandit_router.server.app import from_environment

    KeyLedger._reserve = check_only  # type: ignore[method-assign]
    return from_environment()


def _run(run: Any) -> Any:
    return lambda _, **options: run(f"{MODULE}:app", **options)


if __name__ == "__main__":
    from bandit_router.cli import main

    with patch.object(supervisor, "run", _run(supervisor.run)):
        main()
