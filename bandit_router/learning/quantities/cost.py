"""The root of a call's cost over its list cost."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.learning.quantities.base import Quantity
from bandit_router.posterior.cost import compute_cost_root, make_cost_prior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import COST, Component, empty_costs
from bandit_router.posterior.sufficient_statistics import SufficientStatistics


def _add_arms(component: Component, priors: Mapping[str, Prior]) -> Component:
    assert isinstance(component, SufficientStatistics)
    return component.with_arms(dict.fromkeys(priors, make_cost_prior(component.dim)))


QUANTITY = Quantity(
    name=COST,
    plural="costs",
    value=lambda observation, _: compute_cost_root(
        observation.metrics.get("cost_usd"), observation.list_cost_usd
    ),
    sources=lambda _, __: ("cost_usd",),
    empty=empty_costs,
    add_arms=_add_arms,
)
