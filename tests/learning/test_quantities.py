"""The registry of learned quantities."""

from __future__ import annotations

from bandit_router.learning import quantities
from bandit_router.learning.quantities import QUANTITIES, Quantity
from tests.packages import values_in


def test_every_quantity_of_the_package_is_registered_once() -> None:
    names = {value.name for value in values_in(quantities) if isinstance(value, Quantity)}
    assert sorted(quantity.name for quantity in QUANTITIES) == sorted(names)


def test_reports_begin_with_the_rewards() -> None:
    assert [quantity.plural for quantity in QUANTITIES] == ["rewards", "costs", "latencies", "confidences"]
