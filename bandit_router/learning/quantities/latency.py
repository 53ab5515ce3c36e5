"""The latency of a call, seconds."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.learning.quantities.base import Quantity
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import LATENCY, Component, empty_latencies


def _add_arms(component: Component, priors: Mapping[str, Prior]) -> Component:
    assert isinstance(component, Latencies)
    return component.with_arms(priors)


QUANTITY = Quantity(
    name=LATENCY,
    plural="latencies",
    value=lambda observation, _: observation.metrics.get("latency_s"),
    sources=lambda _, __: ("latency_s",),
    empty=empty_latencies,
    add_arms=_add_arms,
)
