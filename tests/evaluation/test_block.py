"""What a block accepts, and that folds and stages do not depend on how a log is split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.splits import FOLDS, STAGES, assign_folds, assign_stages
from tests.evaluation.worlds import an_ordinary_log

LOG = an_ordinary_log(n=20)


def changed(name: str, row: int, value: Any) -> dict[str, Any]:
    array = getattr(LOG, name).copy()
    array[row] = value
    return {name: array}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("x", 3, np.nan), "x: is not finite in row 3"),
        (changed("x", 3, 1e200), "x: is not finite in row 3"),
        (changed("action", 4, 4), "action: is not one of the arms in row 4"),
        (changed("action", 4, -1), "action: is negative in row 4"),
        (changed("order", 4, -1), "order: is negative in row 4"),
        (changed("propensity", 5, 0.0), r"propensity: is not in \(0, 1\] in row 5"),
        (changed("propensity", 5, np.nan), r"propensity: is not in \(0, 1\] in row 5"),
        (changed("propensity", 5, 1.5), r"propensity: is not in \(0, 1\] in row 5"),
        (changed("outcomes", 6, np.inf), "outcomes: is infinite in row 6"),
        (changed("logged", 7, [0.5, 0.5, 0.5, 0.5]), "logged: does not sum to 1 in row 7"),
        (changed("target", 7, [0.5, 0.5, 0.5, -0.5]), r"target: is not in \[0, 1\] in row 7"),
        (changed("target", 7, np.nan), r"target: is not in \[0, 1\] in row 7"),
        (changed("eligible", 8, False), "action: was not eligible in row 8"),
        ({"fold": LOG.fold.astype(float)}, "fold: has dtype float64"),
        ({"eligible": LOG.logged}, "eligible: has dtype float64"),
        ({"outcomes": LOG.outcomes[:, :2]}, r"outcomes: has shape \(20, 2\)"),
        ({"target": LOG.target[:5]}, r"target: has shape \(5, 4\)"),
        ({"x": LOG.x[0]}, r"x: has shape \(3,\)"),
        ({"arms": ("a", "b", "b", "c")}, "arms: are missing or repeated"),
        ({"arms": ("a", "b")}, r"has shape \(20, 4\)"),
    ],
)
def test_a_wrong_field_is_named_with_its_row(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        replace(LOG, **change)


def test_a_pmf_outside_the_eligible_arms_is_named() -> None:
    eligible = LOG.eligible.copy()
    eligible[2, (LOG.action[2] + 1) % 4] = False
    with pytest.raises(InvalidInput, match="logged: is above 0 where not eligible in row 2"):
        replace(LOG, eligible=eligible)


def test_missing_feedback_is_allowed() -> None:
    replace(LOG, **changed("outcomes", 1, np.nan))


def test_a_propensity_that_contradicts_the_pmf_is_left_to_the_diagnostics() -> None:
    replace(LOG, propensity=np.full(20, 0.25))


def test_rows_can_be_taken_in_any_order() -> None:
    taken = LOG.take(np.array([3, 1]))
    assert len(taken) == 2
    np.testing.assert_array_equal(taken.x, LOG.x[[3, 1]])
    assert taken.arms == LOG.arms


def test_the_fold_of_a_decision_depends_on_its_id_alone() -> None:
    ids = [f"01890000-0000-7000-8000-{i:012d}" for i in range(5000)]
    folds = assign_folds(ids)
    np.testing.assert_array_equal(assign_folds(ids[::-1]), folds[::-1])
    # 5000 uniform draws put 1000 ± 113 (4 standard deviations) in each of 5 folds
    assert np.abs(np.bincount(folds, minlength=FOLDS) - 1000).max() < 113


def test_stages_grow_by_a_quarter_and_are_few() -> None:
    stages = assign_stages(np.arange(1000))
    assert stages[0] == 0
    assert (np.diff(stages) >= 0).all()
    assert stages[-1] == 20
    sizes = np.bincount(stages)[12:20]
    np.testing.assert_allclose(sizes[1:] / sizes[:-1], 1.25, rtol=0.05)
    assert assign_stages(np.array([10_000_000 - 1])).item() == 61
    assert assign_stages(np.array([2**63 - 1])).item() < STAGES


@pytest.mark.parametrize("split", [lambda o: o, lambda o: o[::-1], lambda o: o[::7]])
def test_the_stage_of_a_row_depends_on_its_rank_alone(split: Callable[[Any], Any]) -> None:
    order = np.arange(500)
    np.testing.assert_array_equal(assign_stages(split(order)), split(assign_stages(order)))
