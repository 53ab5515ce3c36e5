"""Training as a whole: what it finds in signal and in noise, and what a log's policy does not do to it."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from rich.console import Console
from scipy.special import expit

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import Block
from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.report.charts.classifier import reliability_plot, threshold_plot
from bandit_router.evaluation.report.classifier_tables import classifier_tables, describe_training
from bandit_router.evaluation.report.pages import classifier_page
from bandit_router.evaluation.report.verdicts import classifier_verdicts
from bandit_router.evaluation.splits import FOLDS
from bandit_router.evaluation.training.examples import (
    ModelPair,
    TrainingExamples,
    examples_of_dataset,
    examples_of_log,
)
from bandit_router.evaluation.training.threshold import ThresholdTarget
from bandit_router.evaluation.training.train import TrainedClassifier, train_classifier_on
from bandit_router.types import FloatArray
from tests.browser import open_page
from tests.evaluation.blocks import split
from tests.evaluation.reports import HURT, NASTY

ARMS = ("small", "large", "other")
PAIR = ModelPair(cheap="small", expensive="large")
DIM = 4


def world(seed: int, n: int, signal: float) -> tuple[FloatArray, FloatArray]:
    """Contexts, and the quality of each arm: the small model fails where a linear score is high."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, DIM - 1))])
    fails = rng.random(n) < expit(signal * x[:, 1] - 0.8)
    quality = np.column_stack([np.where(fails, 0.2, 0.9), np.full(n, 0.85), rng.random(n)])
    return x, quality


def examples(
    seed: int = 0, n: int = 1500, signal: float = 2.0, names: tuple[str, ...] = ARMS
) -> TrainingExamples:
    x, quality = world(seed, n, signal)
    data = Dataset(
        name="world",
        queries=("q",) * n,
        models=names,
        quality=quality,
        cost_usd=np.broadcast_to([1e-4, 1e-3, 1e-2], (n, 3)),
    )
    return examples_of_dataset(data, x, ModelPair(cheap=names[0], expensive=names[1]), schema_id="vector/3")


def trained(seed: int = 0, target: ThresholdTarget | None = None, **made: float) -> TrainedClassifier:
    labelled = examples(seed, **made)  # type: ignore[arg-type]
    return train_classifier_on(labelled, target or ThresholdTarget(), np.random.default_rng(seed))


def a_log(n: int, behaviour: FloatArray, seed: int = 0) -> Block:
    """A log of a policy whose probabilities (n, K) may depend on x."""
    x, quality = world(seed, n, 2.0)
    rng = np.random.default_rng(seed + 1)
    action = np.array([rng.choice(3, p=p) for p in behaviour])
    outcomes = np.column_stack([quality[np.arange(n), action]] * 2 + [np.full(n, np.nan)])
    return Block(
        arms=ARMS,
        x=x,
        eligible=behaviour > 0,
        logged=behaviour,
        action=action,
        propensity=behaviour[np.arange(n), action],
        outcomes=outcomes,
        fold=np.arange(n) % FOLDS,
        order=np.arange(n),
        expected_cost_usd=np.where(behaviour > 0, [1e-4, 1e-3, 1e-2], 0.0),
        cost_weight=np.zeros(n),
        decided_at=np.arange(n, dtype=np.float64),
    )


def of_log(block: Block, **options: int) -> TrainingExamples:
    pieces = list(split(block, 700))
    return examples_of_log(pieces, ARMS, PAIR, schema_id="vector/3", source="log", **options)


def skewed(n: int) -> FloatArray:
    """The small model rarely gets the queries it fails on: what its own answers say of it is too good."""
    x, _ = world(0, n, 2.0)
    small = np.clip(expit(-2.0 * x[:, 1]), 0.05, 0.9)
    return np.column_stack([small, 0.95 - small, np.full(n, 0.05)])


# -- signal and noise ------------------------------------------------------------------------------


def test_signal_is_found_and_held_out_figures_say_so() -> None:
    found = trained()
    accuracy, auc = found.metrics["accuracy"], found.metrics["AUC"]
    x, quality = world(99, 20_000, 2.0)
    p = found.classifier("now").p_complex_many(x)
    truth = expit(2.0 * x[:, 1] - 0.8)
    assert np.abs(p - truth).mean() < 0.04
    fresh = ((p > 0.5) == (quality[:, 0] < 0.5)).mean()
    assert accuracy.classifier.mean() == pytest.approx(fresh, abs=0.03)
    assert accuracy.baseline.mean() == pytest.approx(1 - found.base_rate, abs=0.01)
    assert auc.classifier.mean() > 0.8
    assert found.routed is not None
    beats = [verdict.split(": ")[1].startswith("it beats") for verdict in classifier_verdicts(found)[:2]]
    assert beats == [True, True]


def test_noise_does_not_beat_the_majority_and_is_not_hidden() -> None:
    found = trained(signal=0.0)
    accuracy, information, _ = classifier_verdicts(found)
    assert "does not beat the majority class" in accuracy
    assert "does not beat" in information or "is not shown to beat" in information
    assert found.metrics["AUC"].classifier.mean() == pytest.approx(0.5, abs=0.06)


def test_asking_every_query_twice_makes_no_noise_predictable() -> None:
    """Negative control: with the copies in other folds, noise looks like signal."""
    once = examples(n=300, signal=0.0)
    rng = np.random.default_rng(5)
    wide = np.column_stack([once.x, rng.normal(size=(300, 250))])
    rows = np.tile(np.arange(300), 2)

    def auc(x: FloatArray) -> float:
        twice = replace(
            once, x=x, quality=once.quality[rows], weight=once.weight[rows], cost_usd=once.cost_usd[rows]
        )
        return float(
            train_classifier_on(twice, ThresholdTarget(), np.random.default_rng(1))
            .metrics["AUC"]
            .classifier.mean()
        )

    assert auc(wide[rows]) < 0.62
    copied = wide[rows]
    copied[300:, 1] += 1e-9  # another context, to the program
    assert auc(copied) > 0.75


def test_the_target_is_met_on_fresh_queries() -> None:
    found = trained(n=4000, target=ThresholdTarget(quality=0.97))
    x, quality = world(98, 20_000, 2.0)
    dear = found.classifier("now").p_complex_many(x) > found.choice.threshold
    earned = np.where(dear, quality[:, 1], quality[:, 0]).mean()
    assert earned == pytest.approx(0.97 * 0.85, abs=0.01)
    assert 0.2 < dear.mean() < 0.9


def test_the_same_seed_trains_the_same_classifier() -> None:
    one, other = trained(n=300), trained(n=300)
    assert one.classifier("now").digest == other.classifier("now").digest


# -- from a log ------------------------------------------------------------------------------------


def test_a_log_that_spares_the_small_model_teaches_the_same() -> None:
    n = 20_000
    truth = (world(0, n, 2.0)[1][:, 0] < 0.5).mean()
    made = of_log(a_log(n, skewed(n)))
    data = made.labelled
    labelled = data.weight > 0
    weighted = data.weight @ data.complex / data.weight.sum()
    assert weighted == pytest.approx(truth, abs=0.03)
    assert data.complex[labelled].mean() < truth - 0.1  # the control: unweighted it is too good
    found = train_classifier_on(made, ThresholdTarget(), np.random.default_rng(0))
    x, _ = world(97, 5_000, 2.0)
    p = found.classifier("now").p_complex_many(x)
    assert np.abs(p - expit(2.0 * x[:, 1] - 0.8)).mean() < 0.05
    assert found.effective_rows < 0.8 * found.labelled


def test_quality_by_threshold_is_estimated_without_the_bias_of_the_log() -> None:
    n = 20_000
    _, quality = world(0, n, 2.0)
    found = train_classifier_on(of_log(a_log(n, skewed(n))), ThresholdTarget(), np.random.default_rng(0))
    p = found.classifier("now").p_complex_many(world(0, n, 2.0)[0])
    for i in np.linspace(0, len(found.curve.threshold) - 1, 9).astype(int):
        dear = p > found.curve.threshold[i]
        truth = np.where(dear, quality[:, 1], quality[:, 0]).mean()
        assert found.curve.quality[i] == pytest.approx(truth, abs=0.03)


def test_rows_that_had_no_choice_are_left_out_and_counted() -> None:
    behaviour = np.tile([0.4, 0.4, 0.2], (900, 1))
    behaviour[::3] = [1.0, 0.0, 0.0]
    made = of_log(a_log(900, behaviour))
    assert len(made.x) == 600
    assert made.left_out == {"could not go to small as well as large": 300}
    assert "Left out: 300 could not go" in describe_training(
        train_classifier_on(made, ThresholdTarget(), np.random.default_rng(0))
    )


def test_silence_is_no_label() -> None:
    block = a_log(900, np.tile([0.4, 0.4, 0.2], (900, 1)))
    block.outcomes[::2, 0] = np.nan
    made = of_log(block)
    acted = (block.action == 0) & ~np.isnan(block.outcomes[:, 0])
    np.testing.assert_array_equal(made.weight[:, 0] > 0, acted)


def test_only_the_newest_rows_are_read() -> None:
    block = a_log(2_100, np.tile([0.5, 0.5, 0.0], (2_100, 1)))
    made = of_log(block, most=1_000)
    np.testing.assert_array_equal(made.x, block.x[-1_000:])
    assert made.source == "log: 1000 of 1400 rows"  # the oldest piece was not opened


# -- what cannot be trained on ---------------------------------------------------------------------


def test_too_few_of_a_kind() -> None:
    with pytest.raises(InvalidInput, match=r"low: of 0\.1 makes 0 of the 1500 answers of small bad"):
        replace(examples(), low=0.1)
    with pytest.raises(InvalidInput, match="low: is 0"):
        replace(examples(), low=0.0)


def test_a_pair_is_two_known_arms() -> None:
    with pytest.raises(InvalidInput, match="expensive: is 'small' too"):
        ModelPair(cheap="small", expensive="small")
    with pytest.raises(
        InvalidInput, match=r"expensive: 'huge' is not an arm; use one of small, large, other"
    ):
        ModelPair(cheap="small", expensive="huge").columns(ARMS)
    with pytest.raises(InvalidInput, match="log: has no rows"):
        examples_of_log([], ARMS, PAIR, schema_id="s", source="log")


# -- the report ------------------------------------------------------------------------------------


def test_tables_say_everything() -> None:
    found = trained()
    console = Console(file=StringIO(), width=100)
    for part in classifier_tables(found):
        console.print(part)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("accuracy", "log loss", "AUC", "Brier", "calibration error", "base rate", "always large"):
        assert words in said
    accuracy = found.metrics["accuracy"].facts()
    assert f"{accuracy['value']:.4f} ±{accuracy['standard_error']:.4f}" in said
    assert f"{accuracy['baseline']:.4f}" in said


def test_plots_use_only_what_plotly_knows() -> None:
    for plot in (reliability_plot(trained()), threshold_plot(trained())):
        go.Figure(data=list(plot.data), layout=plot.layout)


def test_the_page_is_drawn_and_harmless(tmp_path: Path) -> None:
    found = train_classifier_on(
        examples(names=NASTY[:3]), ThresholdTarget(quality=0.9), np.random.default_rng(0)
    )
    visit = open_page(classifier_page(found, title="<b>Classifier</b>"), tmp_path)
    assert visit.console == []
    assert "data-hurt" not in visit.dom.replace(HURT, "")
    assert visit.dom.count('class="main-svg"') >= 2


def test_a_page_of_a_log_that_knows_only_the_small_model() -> None:
    block = a_log(900, np.tile([0.5, 0.3, 0.2], (900, 1)))
    block.outcomes[block.action == 1] = np.nan
    found = train_classifier_on(of_log(block), ThresholdTarget(), np.random.default_rng(0))
    assert found.routed is None
    assert "too few answers" in classifier_verdicts(found)[2]
    assert classifier_page(found, title="t")
    console = Console(file=StringIO(), width=100)
    console.print(classifier_tables(found)[1])
    assert "—" in console.file.getvalue()  # type: ignore[attr-defined]
