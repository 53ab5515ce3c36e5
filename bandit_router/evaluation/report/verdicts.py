"""Verdicts: a sentence or two on every policy, and on a trained classifier."""

from __future__ import annotations

from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.report.contenders import Participant, participant_label
from bandit_router.evaluation.report.formatting import decimals_of_spread, printable
from bandit_router.evaluation.report.statistics import Difference, paired_difference
from bandit_router.evaluation.simulation.simulate import Contender, Simulation
from bandit_router.evaluation.training.train import ComparedMetric, TrainedClassifier
from bandit_router.types import FloatArray

AGAINST = {"shuffled": "against its choices shuffled", "blind mix": "against the best blind mix at its cost"}
OVER_ORDERS = (
    "± is half of a 95% interval (Student's t) of differences within seeds: over orders of these queries, "
    "not over other queries."
)
_ROUNDING = 1e-9  # a difference that no order changes has no more spread than this


def simulation_verdicts(simulation: Simulation) -> list[str]:
    """A verdict on each policy: against the best fixed model of each seed, and query-blind choices."""
    policies = [contender for contender in simulation.contenders if contender.role == "policy"]
    return [
        f"{_beside_best(simulation, policy)}; {_worth_of_looking(simulation, policy)}." for policy in policies
    ]


def utility_differences(simulation: Simulation, policy: Contender) -> dict[str, Difference]:
    """Paired differences in utility, policy less baseline, by the role of the baseline."""
    baselines = [
        other
        for other in simulation.contenders
        if other.role in ("best fixed", "uniform")
        or (other.role in ("blind mix", "shuffled") and other.policy == policy.name)
    ]
    return {
        other.role: paired_difference(policy.values("utility"), other.values("utility"))
        for other in baselines
    }


def _beside_best(simulation: Simulation, policy: Contender) -> str:
    difference = utility_differences(simulation, policy)["best fixed"]
    name, other = printable(policy.name), "the best fixed model in hindsight"
    if difference.is_significant or difference.reach is None:
        size = _with_reach(abs(difference.mean), difference)
        return f"{name} earns {size} {'more' if difference.mean > 0 else 'less'} utility than {other}"
    size = _with_reach(difference.mean, difference, "+")
    return f"{name} cannot be told from {other} in {difference.seeds} seeds: {size} utility"


def _worth_of_looking(simulation: Simulation, policy: Contender) -> str:
    differences = utility_differences(simulation, policy)
    gains = [
        f"{_with_reach(differences[role].mean, differences[role], '+')} ({AGAINST[role]})" for role in AGAINST
    ]
    return f"looking at the query is worth {' and '.join(gains)}"


def _with_reach(value: float, difference: Difference, sign: str = "") -> str:
    decimals = decimals_of_spread(difference.reach)
    value = round(value, decimals) + 0.0
    if difference.reach is None:
        return f"{value:{sign}.{decimals}f} (one seed, no interval)"
    if difference.reach < _ROUNDING:
        return f"{value:{sign}.4f} (the same in every order)"
    return f"{value:{sign}.{decimals}f} ± {difference.reach:.{decimals}f}"


def evaluation_verdicts(evaluation: Evaluation, estimator: str, *, force: bool) -> list[str]:
    """A verdict on each policy from a log: point differences, because the estimates are dependent.

    A refused figure is not compared, unless ``force`` is set.
    """
    policies = [a for a in evaluation.answers if a.question.role == "policy"]
    return [_evaluation_verdict(evaluation, estimator, force, answer) for answer in policies]


def _evaluation_verdict(evaluation: Evaluation, estimator: str, force: bool, answer: Answer) -> str:
    name, best = printable(answer.question.name), evaluation.best_fixed(estimator)
    if _utility(evaluation, estimator, force, answer) is None:
        return f"{name}: no verdict by {estimator}, because its utility is refused or unknown."
    blind = {
        role: other
        for role in AGAINST
        for other in evaluation.answers
        if other.question.role == role and other.question.of == answer.question.name
    }
    gains = {
        role: _utility_gain(evaluation, estimator, force, answer, other) for role, other in blind.items()
    }
    worth = [f"{value:+.4f} ({AGAINST[role]})" for role, value in gains.items() if value is not None]
    sentences = [
        _beside_estimate(
            name, best, _utility_gain(evaluation, estimator, force, answer, best) if best else None
        )
    ]
    sentences += [f"looking at the query is worth {' and '.join(worth)}"] if worth else []
    used = [answer, *([best] if best else []), *blind.values()]
    refused = force and any(evaluation.refused(each, estimator) for each in used)
    source = f"{estimator}{', some of them refused' if refused else ''}"
    return f"{'; '.join(sentences)}. Point estimates by {source}."


def _beside_estimate(name: str, best: Answer | None, gain: float | None) -> str:
    if best is None or gain is None:
        return f"no fixed model is known well enough to compare {name} with"
    model = participant_label(Participant(best.question.name, best.question.role, None))
    size = f"{abs(gain):.4f} {'more' if gain >= 0 else 'less'}"
    return f"{name} earns {size} utility than the best fixed model in hindsight, {model}"


def _utility_gain(
    evaluation: Evaluation, estimator: str, force: bool, answer: Answer, other: Answer
) -> float | None:
    """The utility of the answer less that of the other; None where either is refused or unknown."""
    mine, theirs = (_utility(evaluation, estimator, force, each) for each in (answer, other))
    return None if mine is None or theirs is None else round(mine - theirs, 4) + 0.0


def _utility(evaluation: Evaluation, estimator: str, force: bool, answer: Answer) -> float | None:
    if evaluation.refused(answer, estimator) and not force:
        return None
    return evaluation.value(answer, estimator)


def classifier_verdicts(trained: TrainedClassifier) -> list[str]:
    """Verdicts on a classifier: against the base rate, and against routing without looking at the query."""
    return [_accuracy_verdict(trained), _probability_verdict(trained), _routing_verdict(trained)]


def _accuracy_verdict(trained: TrainedClassifier) -> str:
    accuracy = trained.metrics["accuracy"]
    commoner = "complex" if trained.base_rate > 0.5 else "simple"
    return (
        f"Accuracy: it {_beats(accuracy)} the majority class (right on {_percent(accuracy.classifier)} "
        f"of queries, always saying {commoner} on {_percent(accuracy.baseline)})."
    )


def _probability_verdict(trained: TrainedClassifier) -> str:
    loss, auc = trained.metrics["log loss"], trained.metrics["AUC"]
    better = ComparedMetric(classifier=loss.baseline, baseline=loss.classifier)
    return (
        f"Probabilities: it {_beats(better)} the base rate (log loss {loss.classifier.mean():.4f} to "
        f"{loss.baseline.mean():.4f}), and ranks a complex query above a simple one in "
        f"{_percent(auc.classifier)} of pairs."
    )


def _routing_verdict(trained: TrainedClassifier) -> str:
    threshold = trained.choice.threshold
    share = trained.curve.share[trained.curve.at(threshold)]
    where = f"p > {threshold:g} sends {share:.1%} to the expensive model"
    if trained.routed is None:
        return f"Routing: {where}; the log has too few answers to say what that earns."
    if not 0.0 < share < 1.0:
        return f"Routing: {where}, so it chooses nothing: take the fixed model, or another threshold."
    routed = trained.routed
    gain = paired_difference(routed.classifier, routed.baseline)
    return (
        f"Routing: {where} and {_beats(routed)} the blind mix at its cost: quality "
        f"{routed.classifier.mean():.4f} to {routed.baseline.mean():.4f}, "
        f"{gain.mean:+.4f} ± {gain.reach:.4f} (95%)."
    )


def _beats(compared: ComparedMetric) -> str:
    """Whether the classifier beats the baseline, by a paired t interval over folds, in words."""
    gain = paired_difference(compared.classifier, compared.baseline)
    if gain.mean <= 0.0:
        return "does not beat"
    return "beats" if gain.is_significant else "is not shown to beat"


def _percent(values: FloatArray) -> str:
    return f"{values.mean():.1%}"
