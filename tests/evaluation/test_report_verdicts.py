"""What is said in words, and the arithmetic behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bandit_router.evaluation.baselines import mix_at_cost
from bandit_router.evaluation.report.charts.cost_quality import CostQualityPoint, Span, concave_hull
from bandit_router.evaluation.report.formatting import decimals_of_spread, join_names, shorten, usd_per_1k
from bandit_router.evaluation.report.simulation_tables import simulation_grid
from bandit_router.evaluation.report.statistics import paired_difference
from bandit_router.evaluation.report.verdicts import evaluation_verdicts, simulation_verdicts
from tests.evaluation.reports import a_simulation, an_evaluation, answer_of, with_utility


def verdict_on(gains: list[float]) -> str:
    """The verdict on a policy that beats the best fixed model by so much in each seed."""
    simulation = a_simulation(seeds=3, specs=("thompson",))
    best = simulation.named("best fixed").values("utility")
    return simulation_verdicts(with_utility(simulation, "thompson", (best + gains).tolist()))[0]


def test_paired_differences_are_those_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 12))
    found = paired_difference(one, other)
    assert found.reach is not None
    low, high = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert found.mean - found.reach == pytest.approx(low)
    assert found.mean + found.reach == pytest.approx(high)


def test_more_less_and_neither_are_told_apart() -> None:
    half = f"{stats.t.ppf(0.975, 2) * np.std([0.2, 0.3, 0.4], ddof=1) / np.sqrt(3):.4f}"
    assert f"thompson earns 0.3000 ± {half} more utility than the best fixed model" in verdict_on(
        [0.2, 0.3, 0.4]
    )
    assert f"thompson earns 0.3000 ± {half} less utility than" in verdict_on([-0.2, -0.3, -0.4])
    assert "thompson cannot be told from the best fixed model in hindsight in 3 seeds: +0.0000 ± " in (
        verdict_on([-0.1, 0.0, 0.1])
    )  # fmt: skip


def test_a_small_difference_is_not_rounded_away() -> None:
    assert [decimals_of_spread(s) for s in (None, 0.0, 0.5, 9e-4, 3e-6)] == [4, 4, 4, 4, 7]
    assert "thompson earns 0.0000030" in verdict_on([2.9e-6, 3.0e-6, 3.1e-6])


def test_looking_at_the_query_is_compared_with_not_looking() -> None:
    simulation = a_simulation()
    for policy, said in zip(("thompson", "linucb:alpha=0.3"), simulation_verdicts(simulation), strict=True):
        mine = simulation.named(policy).values("utility")
        for name, words in (
            (f"{policy}, queries shuffled", "against its choices shuffled"),
            (f"blind mix at the cost of {policy}", "against the best blind mix at its cost"),
        ):
            found = paired_difference(mine, simulation.named(name).values("utility"))
            assert f"{found.mean:+.4f} ± {found.reach:.4f} ({words})" in said


def test_a_verdict_from_a_log_is_a_difference_of_estimates() -> None:
    evaluation = an_evaluation()
    for estimator in ("dr", "snips"):
        said = evaluation_verdicts(evaluation, estimator, force=False)[0]
        policy, dealt, mix, medium = (
            evaluation.value(answer_of(evaluation, name), estimator)
            for name in (
                "thompson", "thompson, queries shuffled", "blind mix at the cost of thompson", "fixed:medium",
            )
        )  # fmt: skip
        assert policy is not None
        assert dealt is not None
        assert mix is not None
        assert medium is not None
        assert said == (
            f"thompson earns {policy - medium:.4f} more utility than the best fixed model in hindsight, "
            f"medium; looking at the query is worth {policy - dealt:+.4f} (against its choices shuffled) and "
            f"{policy - mix:+.4f} (against the best blind mix at its cost). Point estimates by {estimator}."
        )


def test_a_refused_utility_gives_no_verdict_unless_forced() -> None:
    evaluation = an_evaluation(160)
    assert answer_of(evaluation, "linucb:alpha=0.5").refused("dr", "reward")
    first, second = evaluation_verdicts(evaluation, "dr", force=False)
    assert first.startswith("no fixed model is known well enough to compare thompson with; looking")
    assert "blind mix" not in first
    assert second == "linucb:alpha=0.5: no verdict by dr, because its utility is refused or unknown."
    forced = evaluation_verdicts(evaluation, "dr", force=True)[1]
    assert "looking at the query is worth" in forced
    assert forced.endswith("Point estimates by dr, some of them refused.")


def test_without_policies_there_is_nothing_to_say() -> None:
    assert evaluation_verdicts(an_evaluation(specs=0), "dr", force=False) == []
    assert simulation_verdicts(a_simulation(specs=())) == []


def test_the_hull_is_what_blind_mixes_earn() -> None:
    rng = np.random.default_rng(1)
    cost, value = rng.random(12), rng.random(12)
    points = [
        CostQualityPoint(f"fixed:{i}", "fixed", None, Span(c, c, c), Span(v, v, v))
        for i, (c, v) in enumerate(zip(cost.tolist(), value.tolist(), strict=True))
    ]
    corners = concave_hull([*points, points[0]._replace(role="policy", quality=Span(9.0, 9.0, 9.0))])
    at, level = (np.array([getattr(p, name).value for p in corners]) for name in ("cost", "quality"))
    for budget in np.linspace(cost.min(), cost.max(), 50):
        there = np.ones((1, len(value)), dtype=np.bool_)
        best = (mix_at_cost(value[None], cost[None], budget, there, np.ones(1)) @ value)[0]
        assert np.interp(budget, at, level) == pytest.approx(best)


def test_models_at_the_same_cost_make_one_corner() -> None:
    points = [
        CostQualityPoint(name, "fixed", None, Span(1.0, 1.0, 1.0), Span(v, v, v))
        for name, v in (("a", 0.2), ("b", 0.6))
    ]
    assert [p.name for p in concave_hull(points)] == ["b"]
    assert concave_hull([]) == []


def test_words() -> None:
    assert [join_names(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert [usd_per_1k(usd / 1000) for usd in (0.0, 0.00123, 0.123, 1.234, 12.34, 1234.0)] == [
        "0.000", "0.001", "0.123", "1.23", "12.3", "1234",
    ]  # fmt: skip
    assert shorten("gpt-4-1106-preview", 12) == "gpt-4…review"
    assert len(shorten("x" * 99)) == 30


def test_a_simulation_name_is_cleaned() -> None:
    named = replace(a_simulation(), name="two\nlines")
    assert simulation_grid(named).title.startswith("two\N{REPLACEMENT CHARACTER}lines: 3 seeds")
