"""The table of replays: real intervals, what is refused and why, and the same for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators.sums import Figure, make_figure
from bandit_router.evaluation.gate import Refusal
from bandit_router.evaluation.replay import ReplayResult
from bandit_router.evaluation.report.as_json import json_value
from bandit_router.evaluation.report.replay_tables import mean_over_replays, replay_grid, replay_table
from tests.evaluation.reports import printed, row_of, unfolded

WRONG = Refusal("pmf-misfit", "the actions do not follow the logged PMF", "log the PMF")
FEW = Refusal("few-rows", "the retained rows with feedback, 9, count as 9.0", "log more", "quality")


def a_run(
    value: float = 0.6, error: float = 0.02, *, refusals: Sequence[Refusal] = (), feedback: int = 400
) -> ReplayResult:
    """Half of 1,000 rows, 400 with feedback. Costs are a thousandth of the rewards."""
    figures: dict[str, Figure | None] = {
        outcome: make_figure(scale * value, scale * error, feedback)
        for outcome, scale in zip(OUTCOMES, (1.0, 1.0, 1e-3), strict=True)
    }
    return ReplayResult(
        rows=1000,
        retained=500,
        bound=2.0,
        feedback=dict.fromkeys(OUTCOMES, feedback),
        figures=figures,
        refusals=tuple(refusals),
        shares=np.array([0.25, 0.75]),
    )


def test_an_interval_is_as_wide_for_many_replays_as_for_one() -> None:
    """They share the log, so what they have in common does not average out."""
    one, many = (
        mean_over_replays([a_run()], "reward"),
        mean_over_replays([a_run(0.5), a_run(0.7)] * 8, "reward"),
    )
    assert one is not None
    assert many is not None
    assert many.value == pytest.approx(0.6)
    assert many.standard_error == pytest.approx(one.standard_error) == pytest.approx(0.02)
    assert many.rows == 400


def test_the_table_shows_intervals_of_a_single_replay_too() -> None:
    text = printed(replay_table({"thompson": [a_run()]}))
    row = row_of(text, "thompson")
    assert row.split()[1:3] == ["1,000", "500"]
    assert row.count("0.600 [0.561–0.639]") == 3  # costs in USD for 1,000 queries
    assert "±" not in text
    assert "event" not in text
    assert "rows" in text
    assert "Refused" not in text


def test_no_interval_is_of_no_width() -> None:
    text = printed(replay_table({"exact": [a_run(0.6, 0.0)], "sharp": [a_run(0.6, 1e-5)]}), width=140)
    assert row_of(text, "exact").count("0.600 (all alike)") == 3
    assert "0.600000 [0.599980–0.600020]" in row_of(text, "sharp")


def test_what_the_gate_refuses_of_the_log_is_refused_of_every_replay() -> None:
    runs = [a_run(refusals=[WRONG])] * 2
    text = printed(replay_table({"thompson": runs, "linucb": runs}))
    for name in ("thompson", "linucb"):
        assert row_of(text, name).count("refused") == 3
    assert "0.6" not in text
    assert text.count(WRONG.reason) == 1
    assert unfolded("every policy, reward, quality and cost_usd: the actions") in unfolded(text)
    assert unfolded(f"Cure: {WRONG.cure}.") in unfolded(text)


def test_one_refused_replay_refuses_its_outcome_and_no_other() -> None:
    short = a_run(refusals=[FEW], feedback=9)
    text = printed(replay_table({"thompson": [a_run(), short], "linucb": [a_run()]}))
    row = row_of(text, "thompson")
    assert row.count("refused") == 1
    assert row.count("[") == 2
    assert "refused" not in row_of(text, "linucb")
    assert unfolded(f"thompson, quality: {FEW.reason}. Cure: {FEW.cure}.") in unfolded(text)


def test_refused_figures_are_marked_when_forced() -> None:
    text = printed(replay_table({"thompson": [a_run(refusals=[WRONG])]}, force=True))
    assert row_of(text, "thompson").count("0.600! [0.561–0.639]") == 3
    assert "--force" in text
    assert WRONG.reason in text


def test_a_figure_that_one_replay_does_not_have_is_not_made_of_the_others() -> None:
    bare = a_run()
    bare.figures["reward"] = None
    assert mean_over_replays([a_run(), bare], "reward") is None
    (row,) = replay_grid({"thompson": [a_run(), bare]}).rows
    assert row.cells[3] == "—"


def test_markup_in_a_name_is_shown_as_it_is() -> None:
    text = printed(replay_table({"[red]x[/red]": [a_run(refusals=[WRONG])]}))
    assert text.count("[red]x[/red]") == 2


def test_programs_get_the_refusals_and_the_counts() -> None:
    (found,) = json.loads(json.dumps(json_value({"thompson": [a_run(refusals=[WRONG, FEW])]})))["thompson"]
    assert list(found) == ["rows", "retained", "bound", "feedback", "figures", "refusals", "shares"]
    assert found["rows"] == 1000
    assert found["retained"] == 500
    assert found["feedback"] == {"reward": 400, "quality": 400, "cost_usd": 400}
    assert found["figures"]["reward"]["standard_error"] == 0.02
    assert [(one["code"], one["outcome"]) for one in found["refusals"]] == [
        ("pmf-misfit", None),
        ("few-rows", "quality"),
    ]
    assert found["refusals"][0]["cure"] == WRONG.cure
