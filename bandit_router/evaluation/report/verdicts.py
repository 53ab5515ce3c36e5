"""What came of it, in a sentence or two for every policy."""

from __future__ import annotations

from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.report.order import Standing, label
from bandit_router.evaluation.report.paired import Difference, paired
from bandit_router.evaluation.report.words import clean, decimals_of_spread
from bandit_router.evaluation.simulation.simulate import Contender, Simulation

AGAINST = {"shuffled": "against its choices shuffled", "blind mix": "against the best blind mix at its cost"}


OVER_ORDERS = (
    "± is half of a 95% interval (Student's t) of differences within seeds: over orders of these queries, "
    "not over other queries."
)
_NOTHING = 1e-9  # what rounding leaves of a difference that no order changes


# -- simulations: differences within seeds --------------------------------------------------------


def simulation_verdicts(simulation: Simulation) -> list[str]:
    """Each policy against the best fixed model of every seed, and against choosing without the query."""
    policies = [one for one in simulation.contenders if one.role == "policy"]
    return [f"{_beside_best(simulation, one)}; {_worth_of_looking(simulation, one)}." for one in policies]


def differences(simulation: Simulation, policy: Contender) -> dict[str, Difference]:
    """Utility of the policy less that of each baseline, by the role of the baseline."""
    others = [
        one
        for one in simulation.contenders
        if one.role in ("best fixed", "uniform")
        or (one.role in ("blind mix", "shuffled") and one.policy == policy.name)
    ]
    return {one.role: paired(policy.values("utility"), one.values("utility")) for one in others}


def _beside_best(simulation: Simulation, policy: Contender) -> str:
    found = differences(simulation, policy)["best fixed"]
    name, other = clean(policy.name), "the best fixed model in hindsight"
    if found.told or found.reach is None:
        size = _with_reach(abs(found.mean), found)
        return f"{name} earns {size} {'more' if found.mean > 0 else 'less'} utility than {other}"
    size = _with_reach(found.mean, found, "+")
    return f"{name} cannot be told from {other} in {found.seeds} seeds: {size} utility"


def _worth_of_looking(simulation: Simulation, policy: Contender) -> str:
    found = differences(simulation, policy)
    parts = [f"{_with_reach(found[role].mean, found[role], '+')} ({AGAINST[role]})" for role in AGAINST]
    return f"looking at the query is worth {' and '.join(parts)}"


def _with_reach(value: float, found: Difference, sign: str = "") -> str:
    decimals = decimals_of_spread(found.reach)
    value = round(value, decimals) + 0.0
    if found.reach is None:
        return f"{value:{sign}.{decimals}f} (one seed, no interval)"
    if found.reach < _NOTHING:
        return f"{value:{sign}.4f} (the same in every order)"
    return f"{value:{sign}.{decimals}f} ± {found.reach:.{decimals}f}"


# -- evaluations: differences of estimates --------------------------------------------------------


def evaluation_verdicts(evaluation: Evaluation, estimator: str, *, force: bool) -> list[str]:
    """The same from a log: point differences, since the estimates depend on each other in unknown ways.

    A refused figure is compared with nothing, unless forced.
    """
    policies = [a for a in evaluation.answers if a.question.role == "policy"]
    return [_verdict(evaluation, estimator, force, answer) for answer in policies]


def _verdict(evaluation: Evaluation, estimator: str, force: bool, answer: Answer) -> str:
    name, best = clean(answer.question.name), evaluation.best_fixed(estimator)
    if _utility(evaluation, estimator, force, answer) is None:
        return f"{name}: no verdict by {estimator}, because its utility is refused or unknown."
    blind = {
        role: other
        for role in AGAINST
        for other in evaluation.answers
        if other.question.role == role and other.question.of == answer.question.name
    }
    more = {role: _more(evaluation, estimator, force, answer, other) for role, other in blind.items()}
    worth = [f"{value:+.4f} ({AGAINST[role]})" for role, value in more.items() if value is not None]
    parts = [
        _beside_estimate(name, best, _more(evaluation, estimator, force, answer, best) if best else None)
    ]
    parts += [f"looking at the query is worth {' and '.join(worth)}"] if worth else []
    used = [answer, *([best] if best else []), *blind.values()]
    refused = force and any(evaluation.refused(one, estimator) for one in used)
    return f"{'; '.join(parts)}. Point estimates by {estimator}{', some of them refused' if refused else ''}."


def _beside_estimate(name: str, best: Answer | None, more: float | None) -> str:
    if best is None or more is None:
        return f"no fixed model is known well enough to compare {name} with"
    model = label(Standing(best.question.name, best.question.role, None))
    size = f"{abs(more):.4f} {'more' if more >= 0 else 'less'}"
    return f"{name} earns {size} utility than the best fixed model in hindsight, {model}"


def _more(evaluation: Evaluation, estimator: str, force: bool, one: Answer, other: Answer) -> float | None:
    """By how much more one earns than the other, where both are known."""
    mine, theirs = (_utility(evaluation, estimator, force, answer) for answer in (one, other))
    return None if mine is None or theirs is None else round(mine - theirs, 4) + 0.0


def _utility(evaluation: Evaluation, estimator: str, force: bool, answer: Answer) -> float | None:
    if evaluation.refused(answer, estimator) and not force:
        return None
    return evaluation.value(answer, estimator)
