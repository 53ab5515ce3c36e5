"""Estimates savings, and what reading queries gains, from a sample of the log, by doubly robust estimation.

Importing this module needs no extra; computing needs ``evaluation``, and without it the savings are refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bandit_router.insight.intervals import Estimate
from bandit_router.insight.savings import Baseline, BlindMixContrast, Saving, Savings
from bandit_router.store.store import Store

if TYPE_CHECKING:
    from bandit_router.evaluation.answers import Answer, Evaluation
    from bandit_router.evaluation.block import Block
    from bandit_router.evaluation.estimators import Estimate as EstimateByOutcome

ESTIMATOR = "dr"
_MIX = "blind mix"
_EXTRA = ("joblib", "pyarrow")
_DAY_S = 86_400.0


class SavingRefusal(NamedTuple):
    """Why there is no saving, and what would cure that."""

    reason: str
    cure: str


_NO_EXTRA = SavingRefusal(
    "the libraries that estimate it are not installed", "run pip install 'bandit-router[evaluation]'"
)
_NO_COSTS = SavingRefusal(
    "no model has a known price", "give the arms prices in router.toml, or send cost_usd as feedback"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What savings are estimated from: the newest ``rows`` decisions of the policy, of so many ``days``.

    ``margin`` is the quality by which the router may be worse, and be called equal.
    """

    rows: int
    days: float
    margin: float


def estimate_savings(store: Store, sample: Sample) -> Savings:
    """Estimate the savings of a router from its log. Raises StoreError and what an export raises."""
    now = store.clock.reference()
    since = now - sample.days * _DAY_S
    rows, savings, blind_mix = 0, refuse_all(_NO_EXTRA), None
    if all(find_spec(name) for name in _EXTRA):
        arms, blocks = _read_sample(store, sample.rows, since)
        rows = sum(map(len, blocks))
        savings = compute_savings(blocks, arms, sample.margin)
        blind_mix = contrast_blind_mix(blocks, arms)
    return Savings(
        made_at=now, since=since, rows=rows, margin=sample.margin, savings=savings, blind_mix=blind_mix
    )


def _read_sample(store: Store, rows: int, since: float) -> tuple[Sequence[str], list[Block]]:
    from bandit_router.evaluation.logs.read import open_log
    from bandit_router.evaluation.logs.write import export_log

    with tempfile.TemporaryDirectory(prefix="bandit-router-") as scratch:
        folder = Path(scratch) / "log"
        with store.read_log() as reader:
            export_log(reader, folder, pages=reader.newest_choices(rows, since))
        with open_log(folder) as opened:
            return opened.arms, [piece.read() for piece in opened.pieces]


def compute_savings(blocks: Sequence[Block], arms: Sequence[str], margin: float) -> tuple[Saving, ...]:
    """The saving against each :class:`Baseline`, from logged decisions over these K arms.

    The most expensive model is the one of the highest expected cost where it was eligible; the best fixed one
    that of the highest utility, among those the log can answer for.
    """
    from bandit_router.evaluation.contrast import estimate_contrasts
    from bandit_router.evaluation.evaluate import evaluate
    from bandit_router.policies.bandit import Fixed

    rows = sum(map(len, blocks))
    if rows == 0:
        return refuse_all(SavingRefusal("the policy has made no decision in this time", "route queries"))
    pieces = [_Held(block) for block in blocks]
    evaluation = evaluate(pieces, arms, {}, rows=rows, prior=None, estimators=[ESTIMATOR], headline=ESTIMATOR)
    fixed = {a.question.policy.arm: a for a in evaluation.answers if isinstance(a.question.policy, Fixed)}
    best = evaluation.best_fixed(ESTIMATOR)
    chosen = {
        Baseline.MOST_EXPENSIVE: find_most_expensive(blocks, arms),
        Baseline.BEST_FIXED: next((arm for arm, answer in fixed.items() if answer is best), None),
    }
    contrasts = estimate_contrasts(blocks, {arm: Fixed(arm) for arm in chosen.values() if arm is not None})
    return tuple(
        _refuse(baseline, None, _explain_missing(baseline, evaluation))
        if arm is None
        else _judge(baseline, arm, [evaluation.answers[0], fixed[arm]], contrasts[arm], margin)
        for baseline, arm in chosen.items()
    )


def contrast_blind_mix(blocks: Sequence[Block], arms: Sequence[str]) -> BlindMixContrast | None:
    """What reading queries gains, from decisions over these K arms; None unless the log can carry it."""
    from bandit_router.evaluation.baselines import mix_logged_shares
    from bandit_router.evaluation.contrast import estimate_contrasts
    from bandit_router.evaluation.evaluate import evaluate

    rows = sum(map(len, blocks))
    if rows == 0:
        return None
    pieces, mix = [_Held(block) for block in blocks], {_MIX: mix_logged_shares(blocks, arms)}
    evaluation = evaluate(
        pieces, arms, mix, rows=rows, prior=None, estimators=[ESTIMATOR], headline=ESTIMATOR
    )
    answers = [answer for answer in evaluation.answers if answer.question.name in ("logged", _MIX)]
    contrast = estimate_contrasts(blocks, mix)[_MIX]
    reward, cost = (_accept(answers, contrast, outcome) for outcome in ("reward", "cost_usd"))
    spent = answers[0].estimates[ESTIMATOR]["cost_usd"]
    if (
        isinstance(reward, SavingRefusal)
        or isinstance(cost, SavingRefusal)
        or spent is None
        or spent.value <= 0
    ):
        return None
    n, *usd = cost
    return BlindMixContrast(reward, Estimate(n, *(_known(value) / spent.value for value in usd)))


def find_most_expensive(blocks: Sequence[Block], arms: Sequence[str]) -> str | None:
    """The arm of the highest mean expected cost over the decisions it was eligible for; None if all are 0."""
    total = sum(block.expected_cost_usd.sum(axis=0) for block in blocks)
    eligible = sum(block.eligible.sum(axis=0) for block in blocks)
    mean = total / np.maximum(eligible, 1)
    return arms[int(mean.argmax())] if mean.max() > 0 else None


def refuse_all(refused: SavingRefusal) -> tuple[Saving, ...]:
    """Every saving, refused for one reason."""
    return tuple(_refuse(baseline, None, refused) for baseline in Baseline)


@dataclass(frozen=True, slots=True)
class _Held:
    """A piece of a log that is in memory."""

    block: Block

    def read(self) -> Block:
        return self.block


def _judge(
    baseline: Baseline, arm: str, answers: Sequence[Answer], contrast: EstimateByOutcome, margin: float
) -> Saving:
    """The saving, unless the log cannot carry it or the router is worse."""
    quality, cost = (_accept(answers, contrast, outcome) for outcome in ("quality", "cost_usd"))
    if isinstance(cost, SavingRefusal) or isinstance(quality, SavingRefusal):
        refused = quality if isinstance(quality, SavingRefusal) else cost
        assert isinstance(refused, SavingRefusal)
        return _refuse(baseline, arm, refused, None if isinstance(quality, SavingRefusal) else quality)
    n, value, low, high = cost
    saved = Estimate(n, -_known(value), -_known(high), -_known(low))
    worse = _compare_quality(arm, quality, saved, margin)
    if worse is not None:
        return _refuse(baseline, arm, worse, quality)
    return Saving(baseline=baseline, arm=arm, usd_per_request=saved, quality=quality)


def _accept(answers: Sequence[Answer], contrast: EstimateByOutcome, outcome: str) -> Estimate | SavingRefusal:
    """The router's outcome less the baseline's, unless the gate refuses either."""
    for answer in answers:
        for refusal in answer.refused(ESTIMATOR, outcome):
            return SavingRefusal(refusal.reason, refusal.cure)
    figure = contrast[outcome]
    if figure is None:
        return SavingRefusal(f"no row has {outcome}", f"send {outcome} as feedback")
    return Estimate(figure.rows, figure.value, figure.low, figure.high)


def _compare_quality(arm: str, quality: Estimate, saved: Estimate, margin: float) -> SavingRefusal | None:
    """Why the router is not as good as the baseline; None if it is, within the margin."""
    value, low, high = _known(quality.value), _known(quality.low), _known(quality.high)
    if low > -margin:
        return None
    interval = f"difference {value:+.3f}, 95% interval {low:+.3f} to {high:+.3f}"
    rule = f"a saving is stated only where it is lower by less than {margin:g}"
    if high < 0:
        reason = f"quality is lower than that of {arm} by {-value:.3f} ({interval}); {rule}"
        cure = "lower router.cost_weight, so that quality counts for more; or raise insight.savings_margin"
    else:
        reason = f"quality may be lower than that of {arm} by up to {-low:.3f} ({interval}); {rule}"
        cure = "send more quality feedback, so that the interval narrows; or raise insight.savings_margin"
    dearer = _known(saved.high) < 0
    return SavingRefusal(f"{reason}; the router costs more, too" if dearer else reason, cure)


def _explain_missing(baseline: Baseline, evaluation: Evaluation) -> SavingRefusal:
    """Why there is no such model."""
    if baseline is Baseline.MOST_EXPENSIVE:
        return _NO_COSTS
    for answer in evaluation.answers:
        if answer.question.role == "fixed":
            for outcome in ("reward", "cost_usd"):
                for refusal in answer.refused(ESTIMATOR, outcome):
                    return SavingRefusal(f"the log can judge no model: {refusal.reason}", refusal.cure)
    return SavingRefusal("no row has reward", "send quality as feedback")


def _refuse(
    baseline: Baseline, arm: str | None, refused: SavingRefusal, quality: Estimate | None = None
) -> Saving:
    return Saving(baseline=baseline, arm=arm, quality=quality, refusal=refused.reason, cure=refused.cure)


def _known(value: float | None) -> float:
    assert value is not None
    return value
