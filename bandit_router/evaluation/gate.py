"""The gate: refuses estimates the log cannot carry, with the reason and the logging that would cure it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bandit_router.evaluation.diagnostics import ArmDiagnostics, Diagnostics, OutcomeDiagnostics
from bandit_router.evaluation.estimators import ESTIMATORS

PROPENSITY_TOLERANCE = 1e-6
"""Largest relative difference between the logged propensity and the logged PMF at the action."""

UNSUPPORTED = 0.01
"""Largest share of the target's decisions without support in the log: an outcome in [0, 1] can be off by that
much, whatever the estimator."""

ESS = 50.0
"""Fewest effective rows behind a normal interval. In simulation, 95% intervals of SNIPS and DR for rewards of
0 and 1 covered 94% at 50 rows, 93% at 25 and 85% at 8; for skewed costs 91% at 50 and 78% at 8."""

STABILISED_ESS = 10.0
"""Fewest effective rows for stabilised DR, which knows the variance from the PMF: 91% at 8, 95% at 15."""

LARGEST_SHARE = 0.1
"""Largest part of all weight on a single row."""

MODEL_BIAS_Z = 3.0
"""Standard errors by which the residuals may contradict the reward model before DM is refused."""

_TINY = 1e-9

_NO_PROPENSITIES = (
    "the log does not know the probability of its choices, so that no weight can make up for how it chose"
)
_NO_PMF = "the log knows the probability of its choices alone, and not of the other arms"
_LOG_THEM = "use dm, which trusts the reward model and whatever it does not see, or log with propensities"

WEIGHTED = tuple(name for name in ESTIMATORS if name != "stabilised-dr")
"""The estimators judged by plain weights; the stabilised one is judged by its own effective rows."""


class Refusal(NamedTuple):
    """The reason not to believe an estimate, and the logging that would cure it.

    Concerns one ``outcome`` and the ``estimators`` named; None stands for all.
    """

    code: str
    reason: str
    cure: str
    outcome: str | None = None
    estimators: tuple[str, ...] | None = None

    def concerns(self, estimator: str, outcome: str) -> bool:
        """Whether this refuses the estimate of ``outcome`` by the estimator of that registered name."""
        return (self.outcome is None or self.outcome == outcome) and (
            self.estimators is None or estimator in self.estimators
        )


def refuse_estimates(diagnostics: Diagnostics, *, assumes_uniform: bool = False) -> list[Refusal]:
    """The refusals that follow from the diagnostics of a log; empty when its estimates can be believed.

    Set ``assumes_uniform`` for a method without weights, such as replay of a uniform log.
    """
    refusals = [*_refuse_log(diagnostics), *(_refuse_not_uniform(diagnostics) if assumes_uniform else ())]
    for outcome, evidence in diagnostics.outcomes.items():
        refusals += _refuse_outcome(diagnostics, outcome, evidence)
    return refusals


def refuse_without_propensities(diagnostics: Diagnostics, propensities: str) -> list[Refusal]:
    """The refusals of an imported log, whose ``propensities`` are those of the actions, or unknown.

    Without any, weights mean nothing: only the reward model is left, which no weighted residual can judge.
    """
    if propensities == "unknown":
        refusals = [
            refusal
            for refusal in refuse_estimates(diagnostics)
            if refusal.code in ("no-feedback", "no-support")
        ]
        but_dm = tuple(name for name in ESTIMATORS if name != "dm")
        return [Refusal("no-propensities", _NO_PROPENSITIES, _LOG_THEM, estimators=but_dm), *refusals]
    refusals = [
        r for r in refuse_estimates(diagnostics) if r.code not in ("pmf-misfit", "propensity-mismatch")
    ]
    whole = Refusal("no-pmf", _NO_PMF, "use dr or snips, or log every arm's", estimators=("stabilised-dr",))
    return [whole, *refusals]


def _refuse_log(d: Diagnostics) -> Iterator[Refusal]:
    if d.propensity_gap > PROPENSITY_TOLERANCE:
        yield Refusal(
            "propensity-mismatch",
            f"a logged propensity is not what the logged PMF gives the action: off by {d.propensity_gap:.3g}",
            "log the probability with which this action was drawn: not 1, and not 1/K unless it was uniform",
        )
    if d.misfit > 1.0:
        arm = d.arms[d.misfit_arm]
        yield Refusal(
            "pmf-misfit",
            f"the actions do not follow the logged PMF, overall or by query: {d.misfit_arm!r} "
            f"was promised {arm.claimed:.1%} of the rows and got {arm.chosen:.1%}",
            "log the PMF the action was drawn from, after every mask and floor, and only rows it chose",
        )
    if d.mean_weight_misfit > 1.0:
        yield Refusal(
            "mean-weight",
            f"the mean weight is {d.mean_weight:.3f}, which true propensities would not give",
            "log the probability with which each action was drawn",
        )


def _refuse_not_uniform(d: Diagnostics) -> Iterator[Refusal]:
    if d.uniform_gap > PROPENSITY_TOLERANCE:
        yield Refusal(
            "not-uniform",
            f"the log is not uniform: its PMF is off by up to {d.uniform_gap:.3g}, and no weight corrects it",
            "correct by the logged PMF (an estimator, or replay by rejection sampling), or log uniformly",
        )


def _refuse_outcome(d: Diagnostics, outcome: str, evidence: OutcomeDiagnostics) -> Iterator[Refusal]:
    if evidence.rows == 0:
        yield Refusal("no-feedback", f"no row has {outcome}", f"send {outcome} as feedback", outcome)
        return
    if evidence.unsupported > UNSUPPORTED:
        arms = ", ".join(name for name, arm in d.arms.items() if _unsupported_share(arm, outcome) > 0)
        yield Refusal(
            "no-support",
            f"{evidence.unsupported:.1%} of the target's decisions take an arm the log could not take there, "
            f"or has no {outcome} of: {arms}",
            "explore: a floor (epsilon > 0) over every eligible arm",
            outcome,
        )
    scarce = evidence.ess < ESS
    if scarce or evidence.largest_share > LARGEST_SHARE:
        yield Refusal(
            "few-rows" if scarce else "one-row",
            f"the log counts as {evidence.ess:.1f} rows of the target ({ESS:g} are needed), the heaviest "
            f"with {evidence.largest_share:.1%} of all weight (at most {LARGEST_SHARE:.0%})",
            _cure_by_more_rows(
                d, ESS / max(evidence.ess, _TINY) if scarce else evidence.largest_share / LARGEST_SHARE
            ),
            outcome,
            WEIGHTED,
        )
    if evidence.stabilised_ess < STABILISED_ESS:
        yield Refusal(
            "few-rows",
            f"even stabilised, the log counts as {evidence.stabilised_ess:.1f} rows of the target "
            f"({STABILISED_ESS:g} are needed)",
            _cure_by_more_rows(d, STABILISED_ESS / max(evidence.stabilised_ess, _TINY)),
            outcome,
            ("stabilised-dr",),
        )
    bias = evidence.model_bias
    if bias is not None and abs(bias.value) > MODEL_BIAS_Z * bias.standard_error:
        yield Refusal(
            "reward-model",
            f"the reward model is off by {bias.value:.3g} where the target goes",
            "use dr, which corrects it, or log more rows for the model to learn from",
            outcome,
            ("dm",),
        )


def _unsupported_share(arm: ArmDiagnostics, outcome: str) -> float:
    return arm.target if arm.missing[outcome] == 1.0 else arm.unsupported


def _cure_by_more_rows(d: Diagnostics, times: float) -> str:
    starved = max(d.arms, key=lambda name: d.arms[name].target - d.arms[name].chosen)
    rows = f"{times:.1f} times as many rows" if times < ESS else "many more rows"
    return (
        f"log about {rows} like these, or raise the floor (epsilon) so that {starved!r} is tried more often"
    )
