"""Savings: how much less the router cost than a fixed model at equal quality, or why that is not said.

And what reading queries gains: the router beside its own shares of models, dealt without a look at the query.

This module says what savings are and reads and writes their stored form;
:mod:`bandit_router.insight.savings_estimate` computes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from bandit_router.insight.intervals import Estimate
from bandit_router.router import Router

KIND = "savings"
"""The kind of estimate that is stored."""


class Baseline(StrEnum):
    """The fixed model that the router is compared with."""

    MOST_EXPENSIVE = "most_expensive"
    BEST_FIXED = "best_fixed"

    @property
    def label(self) -> str:
        """As people read it: the best fixed model."""
        return f"the {self.value.replace('_', ' ')} model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """The saving against one baseline, or the reason why it is refused and what would cure that.

    ``usd_per_request`` is the baseline's cost less the router's: below 0 the router costs more; None exactly
    if it is refused. ``quality`` is the router's less the baseline's; None where the log cannot carry it.
    ``arm`` is None where no model could be found.
    """

    baseline: Baseline
    arm: str | None = None
    usd_per_request: Estimate | None = None
    quality: Estimate | None = None
    refusal: str | None = None
    cure: str | None = None


class BlindMixContrast(NamedTuple):
    """The router's outcomes less those of its own shares of models, whatever the query.

    ``cost`` is a share of what the router costs: below 0 it is cheaper than the mix.
    """

    reward: Estimate
    cost: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Savings:
    """Savings over ``rows`` decisions of the policy since ``since``; times are Unix, seconds.

    ``margin`` is the quality by which the router may be worse, and be called equal. ``blind_mix`` is None
    where the log cannot carry it.
    """

    made_at: float
    since: float
    rows: int
    margin: float
    savings: tuple[Saving, ...]
    blind_mix: BlindMixContrast | None = None


def savings_facts(savings: Savings) -> dict[str, Any]:
    """All of it as JSON has it: this is what is stored, and what programs read."""
    return {
        "made_at": savings.made_at,
        "since": savings.since,
        "rows": savings.rows,
        "margin": savings.margin,
        "savings": [
            {
                "baseline": saving.baseline.value,
                "arm": saving.arm,
                "usd_per_request": _estimate_facts(saving.usd_per_request),
                "quality": _estimate_facts(saving.quality),
                "refusal": saving.refusal,
                "cure": saving.cure,
            }
            for saving in savings.savings
        ],
        "blind_mix": None
        if savings.blind_mix is None
        else {name: _estimate_facts(each) for name, each in savings.blind_mix._asdict().items()},
    }


def find_savings(router: Router) -> Savings | None:
    """The newest estimate that the router has; None if there is none yet. Raises StoreError."""
    stored = router.estimate(KIND)
    return None if stored is None else read_savings(stored.body)


def read_savings(facts: Mapping[str, Any]) -> Savings:
    """The savings of :func:`savings_facts`."""
    savings = tuple(
        Saving(
            baseline=Baseline(each["baseline"]),
            arm=each["arm"],
            usd_per_request=_read_estimate(each["usd_per_request"]),
            quality=_read_estimate(each["quality"]),
            refusal=each["refusal"],
            cure=each["cure"],
        )
        for each in facts["savings"]
    )
    mix = facts.get("blind_mix")  # an estimate of an older version has none
    blind_mix = None if mix is None else BlindMixContrast(*(Estimate(**mix[name]) for name in mix))
    return Savings(**{**facts, "savings": savings, "blind_mix": blind_mix})


def _estimate_facts(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate._asdict()


def _read_estimate(facts: Mapping[str, Any] | None) -> Estimate | None:
    return None if facts is None else Estimate(**facts)
