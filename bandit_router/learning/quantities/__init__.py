"""Every learned quantity. A new one is a file beside these and an import line in ``registered``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bandit_router.learning.quantities import registered
from bandit_router.learning.quantities.base import Quantity
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import ModelState
from bandit_router.posterior.sufficient_statistics import SufficientStatistics

__all__ = ["QUANTITIES", "Quantity", "add_arms", "empty_state", "learned_quantities"]

QUANTITIES: tuple[Quantity, ...] = tuple(
    quantity for quantity in vars(registered).values() if isinstance(quantity, Quantity)
)


def learned_quantities(state: ModelState) -> list[Quantity]:
    """The quantities that the state has a component of."""
    return [quantity for quantity in QUANTITIES if quantity.name in state.components]


def empty_state(rewards: SufficientStatistics, *, cascades: bool = False) -> ModelState:
    """What is believed of the arms of ``rewards`` before anything is observed."""
    return ModelState({q.name: q.empty(rewards) for q in QUANTITIES if cascades or not q.cascades_only})


def add_arms(state: ModelState, priors: Mapping[str, Prior]) -> ModelState:
    """The state with more arms, of which nothing is observed; ``priors`` are those of their rewards."""
    quantities = learned_quantities(state)
    components = {q.name: q.add_arms(state.components[q.name], priors) for q in quantities}
    return replace(state, components=components)
