"""The tables: what is in them without asking, what is refused, and that they fit."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.report.evaluation_tables import evaluation_tables
from bandit_router.evaluation.report.simulation_tables import simulation_table
from tests.evaluation.reports import NASTY, a_simulation, an_evaluation, answer_of, printed, row_of, unfolded
from tests.evaluation.worlds import ARMS


def first_column(text: str) -> list[str]:
    """The names in the first table of the text, as indented."""
    rows = [line for line in text.splitlines() if line.startswith(" ") and line.strip()]
    return [re.split(r"(?<=\S)  ", row)[0] for row in rows[2:]]


def test_every_baseline_is_in_the_table_of_an_evaluation() -> None:
    text = printed(*evaluation_tables(an_evaluation(), "dr", force=False))
    assert first_column(text)[:12] == [
        " logged",
        *(" thompson", "   blind mix", "   shuffled"),
        *(" linucb:alpha=0.5", "   blind mix", "   shuffled"),
        *(f" {arm} *" if arm == "medium" else f" {arm}" for arm in ARMS),
        " uniform random",
    ]
    best = an_evaluation().best_fixed("dr")
    assert best is not None
    assert best.question.name == "fixed:medium"


def test_figures_in_the_table_are_those_of_the_estimator() -> None:
    evaluation = an_evaluation()
    for estimator in ("dr", "snips"):
        text = printed(*evaluation_tables(evaluation, estimator, force=False))
        answer = answer_of(evaluation, "thompson")
        reward, cost = (answer.estimates[estimator][outcome] for outcome in ("reward", "cost_usd"))
        assert reward is not None
        assert cost is not None
        row = row_of(text, "thompson")
        assert f"{reward.value:.3f} [{reward.low:.3f}–{reward.high:.3f}]" in row
        assert f"{1000 * cost.value:.3f} [{1000 * cost.low:.3f}–{1000 * cost.high:.3f}]" in row
        assert f"{reward.value - 20.0 * cost.value:.4f}" in row
        assert row.rstrip().endswith(f"{answer.diagnostics.outcomes['reward'].ess:.0f}")


def test_a_refused_figure_is_not_shown_but_its_reason_and_cure_are_once() -> None:
    evaluation = an_evaluation(160)
    answer = answer_of(evaluation, "fixed:huge")
    (refusal,) = answer.refused("dr", "reward")
    text = printed(*evaluation_tables(evaluation, "dr", force=False))
    row = row_of(text, "huge")
    assert row.split()[:5] == ["huge", *4 * ["refused"]]
    reward = answer.estimates["dr"]["reward"]
    assert reward is not None
    assert f"{reward.value:.3f} [" not in row
    assert unfolded(text).count(unfolded(f"{refusal.reason}. Cure: {refusal.cure}.")) == 1
    assert "• fixed:huge, reward, quality and cost_usd: the log counts as" in text
    assert "--force" not in text
    assert "the log cannot tell which fixed model is best" in text


def test_a_forced_figure_is_shown_and_marked() -> None:
    evaluation = an_evaluation(160)
    text = printed(*evaluation_tables(evaluation, "dr", force=True))
    reward = answer_of(evaluation, "fixed:huge").estimates["dr"]["reward"]
    assert reward is not None
    assert f"{reward.value:.3f}! [{reward.low:.3f}–{reward.high:.3f}]" in row_of(text, "huge")
    assert "!" not in row_of(text, "uniform random")
    assert "refused  " not in text
    assert "Figures marked ! are refused, and shown because of --force:" in text


def test_a_reason_against_every_policy_is_given_once() -> None:
    text = printed(*evaluation_tables(an_evaluation(missing=("quality",)), "dr", force=False))
    assert "• every policy, quality: no row has quality. Cure: send quality as feedback." in text
    assert text.count("no row has quality") == 1
    assert text.count("refused  ") == len(an_evaluation().answers)


def test_without_costs_utility_is_not_known_and_there_is_no_blind_baseline() -> None:
    text = printed(*evaluation_tables(an_evaluation(missing=("cost_usd",)), "dr", force=True))
    assert row_of(text, "thompson").split()[-3:-1] == ["—", "—"]
    assert "no blind baselines: the log cannot say what every arm earns and costs" in text
    assert "thompson: no verdict by dr, because its utility is refused or unknown." in text


def test_diagnostics_of_the_log_are_below() -> None:
    evaluation = an_evaluation(missing=("quality",))
    text = printed(*evaluation_tables(evaluation, "dr", force=False))
    log = evaluation.answers[0].diagnostics
    arm = log.arms["huge"]
    assert row_of(text, "rows").split() == ["rows", "2,000"]
    assert f"{log.smallest_propensity:.4g}" in row_of(text, "smallest propensity")
    weights = [answer.diagnostics.mean_weight for answer in evaluation.answers]
    furthest = max(weights, key=lambda w: abs(w - 1.0))
    assert f" {furthest:.3f}, of" in row_of(text, "mean weight furthest from 1")
    assert f"{log.misfit:.2f}, of {log.misfit_arm}" in row_of(text, "misfit of the logged PMF")
    below = text[text.index("Arms in the log") :]
    shares = [f"{arm.chosen:.1%}", f"{arm.claimed:.1%}"]
    assert row_of(below, "huge").split() == ["huge", str(arm.rows), *shares, "0.0%", "100.0%", "0.0%"]
    predicted, observed = arm.predicted["reward"], arm.observed["reward"]
    below = text[text.index("Calibration") :]
    assert f"{predicted:.3f} / {observed:.3f}" in row_of(below, "huge")
    assert "— / —" in row_of(below, "huge")


def test_an_estimator_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'magic' was not asked for; use one of dr, ips, clipped-ips"):
        evaluation_tables(an_evaluation(), "magic", force=False)


def test_every_baseline_and_the_worst_seed_are_in_the_table_of_a_simulation() -> None:
    simulation = a_simulation(queries=None)
    text = printed(simulation_table(simulation))
    assert first_column(text)[:10] == [
        *(" thompson", "   blind mix", "   shuffled"),
        *(" linucb:alpha=0.3", "   blind mix", "   shuffled"),
        *(" small", " medium", " large *"),
        " uniform random",
    ]
    one = simulation.named("thompson")
    utility, gap = one.values("utility"), one.values("gap")
    assert row_of(text, "thompson").split() == [
        "thompson",
        f"{one.values('quality').mean():.4f}",
        f"{1000 * one.values('cost_usd').mean():.2f}",
        f"{utility.mean():.4f}",
        f"±{utility.std(ddof=1):.4f}",
        f"{utility.min():.4f}",
        f"{one.values('last').mean():.4f}",
        f"{gap.mean():.1f}",
        f"±{gap.std(ddof=1):.1f}",
        f"{gap.max():.1f}",
    ]


def test_a_best_fixed_model_that_differs_between_seeds_has_its_own_row() -> None:
    simulation = a_simulation(queries=None)
    small = simulation.named("fixed:small").tracks
    contenders = tuple(
        one._replace(tracks=(small[0], *one.tracks[1:])) if one.name == "best fixed" else one
        for one in simulation.contenders
    )
    text = printed(simulation_table(replace(simulation, contenders=contenders)))
    assert row_of(text, "best fixed, by seed")
    assert "by seed" not in printed(simulation_table(simulation))


def test_one_seed_has_no_spread() -> None:
    text = printed(simulation_table(a_simulation(seeds=1)))
    assert "1 seed of 250 queries" in text
    assert "±" not in row_of(text, "thompson")
    assert "(one seed, no interval)" in text


@pytest.mark.parametrize("width", [100, 80])
def test_tables_fit_and_lose_nothing(width: int) -> None:
    """Long names fold; no figure is cut off or broken."""
    show = partial(printed, width=width)
    evaluation, simulation = an_evaluation(arms=NASTY), a_simulation(NASTY)
    for text in (
        show(*evaluation_tables(evaluation, "dr", force=False)),
        show(simulation_table(simulation)),
    ):
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        column = unfolded("".join(line[:30].split("  ")[0] for line in text.splitlines()))
        for name in NASTY[:3]:
            assert unfolded(name)[:8] in column
    reward = answer_of(evaluation, "thompson").estimates["dr"]["reward"]
    assert reward is not None
    assert f"[{reward.low:.3f}–{reward.high:.3f}]" in show(*evaluation_tables(evaluation, "dr", force=False))


def test_names_are_shown_as_they_are_but_for_what_a_terminal_would_obey() -> None:
    arms = ("[red]small[/red]", "\x1b[31mred\nline", "c", "d")
    text = printed(*evaluation_tables(an_evaluation(arms=arms), "dr", force=False), width=200)
    assert row_of(text, "[red]small[/red]")
    assert row_of(text, "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}line")
    assert "\x1b" not in text
