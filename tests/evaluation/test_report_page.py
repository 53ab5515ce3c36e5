"""The page: whole, harmless, the same every time, and drawn by a real browser without a network."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import OUTCOMES
from bandit_router.evaluation.estimators.sums import Figure
from bandit_router.evaluation.gate import Refusal
from bandit_router.evaluation.replay import ReplayResult
from bandit_router.evaluation.report.charts.cost_quality import (
    cost_quality_plot,
    evaluation_points,
    simulation_points,
)
from bandit_router.evaluation.report.charts.diagnostics import calibration_plot, clip_plot
from bandit_router.evaluation.report.charts.over_time import (
    evaluation_share_plots,
    learning_curves_plot,
    simulation_share_plots,
)
from bandit_router.evaluation.report.charts.palette import ARMS as COLOURS
from bandit_router.evaluation.report.charts.palette import POLICIES, arm_look, policy_look
from bandit_router.evaluation.report.charts.plot import Plot
from bandit_router.evaluation.report.pages import evaluation_page, simulation_page
from tests.browser import open_page
from tests.evaluation.reports import HURT, NASTY, a_simulation, an_evaluation, answer_of

TITLE = "July & <b>August</b>"


def without_plotly(page: str) -> str:
    """What is ours of the page."""
    js = get_plotlyjs()
    assert page.count(js) == 1
    return page.replace(js, "")


def plots_of_everything() -> list[Plot]:
    evaluation, simulation = an_evaluation(arms=NASTY), a_simulation(NASTY)
    points, _ = evaluation_points(evaluation, "dr", "quality")
    return [
        cost_quality_plot(points, evaluation.arms, "quality", ""),
        cost_quality_plot(simulation_points(simulation), simulation.arms, "quality", ""),
        learning_curves_plot(simulation),
        *evaluation_share_plots(evaluation),
        *simulation_share_plots(simulation),
        clip_plot(evaluation, "dr"),
        calibration_plot(evaluation),
    ]


def test_plots_use_only_what_plotly_knows() -> None:
    for plot in plots_of_everything():
        go.Figure(data=list(plot.data), layout=plot.layout)  # raises ValueError for a wrong name or value


def test_a_page_needs_nothing_from_elsewhere() -> None:
    for page in (
        evaluation_page(an_evaluation(), "dr", title=TITLE),
        simulation_page(a_simulation(), title=TITLE),
    ):
        ours = without_plotly(page)
        assert re.findall(r"https?:", ours) == []
        assert re.findall(r"(?:src|href)=\"([^\"]*)", ours) == ["data:,"]
        assert "default-src 'none'" in ours


def test_equal_results_make_equal_pages() -> None:
    evaluation, simulation = an_evaluation(), a_simulation()
    pages = {evaluation_page(evaluation, "dr", title=TITLE) for _ in range(2)}
    assert len(pages) == 1
    an_evaluation.cache_clear()
    a_simulation.cache_clear()
    assert evaluation_page(an_evaluation(), "dr", title=TITLE) in pages
    assert simulation_page(a_simulation(), title=TITLE) == simulation_page(simulation, title=TITLE)


def test_a_page_says_what_is_refused_and_does_not_show_it() -> None:
    evaluation = an_evaluation(160)
    answer = answer_of(evaluation, "fixed:huge")
    (refusal,) = answer.refused("dr", "reward")
    page = without_plotly(evaluation_page(evaluation, "dr", title=TITLE))
    assert page.index("Refused: what this log cannot answer") < page.index("Policies and baselines")
    assert refusal.cure.replace("'", "&#x27;") in page
    row = re.search(r'<th scope="row">huge</th>.*?</tr>', page)
    assert row is not None
    assert row[0].count("refused</span>") == 4
    assert "Not drawn, because refused or unknown: linucb:alpha=0.5, fixed:small" in page
    reward = answer.estimates["dr"]["reward"]
    assert reward is not None
    assert str(reward.value) not in page
    assert "No figure of dr is refused" in evaluation_page(an_evaluation(), "dr", title=TITLE)


def test_an_estimator_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'magic' was not asked for"):
        evaluation_page(an_evaluation(), "magic", title=TITLE)


@pytest.mark.parametrize("missing", [("quality",), ("cost_usd",), ("reward", "quality", "cost_usd")])
def test_a_log_without_some_outcome_still_makes_a_page(missing: tuple[str, ...]) -> None:
    page = evaluation_page(an_evaluation(missing=missing), "dr", title=TITLE)
    assert f"no row has {missing[0]}" in page
    if missing == ("quality",):
        assert '"text":"reward"' in page  # the front is then one of reward


def test_an_arm_has_the_same_colour_everywhere() -> None:
    simulation, evaluation = a_simulation(NASTY), an_evaluation(arms=NASTY)
    for k, arm in enumerate(NASTY):
        colour = arm_look(k).colour
        points = [p for p in simulation_points(simulation) if p.role == "fixed"]
        trace = cost_quality_plot(points, NASTY, "quality", "").data[1 + k]
        assert points[k].name == f"fixed:{arm}"
        assert trace["marker"]["color"] == colour
        assert all(plot.data[k]["fillcolor"] == colour for plot in simulation_share_plots(simulation))
        assert all(plot.data[k]["fillcolor"] == colour for plot in evaluation_share_plots(evaluation))
        assert calibration_plot(evaluation).data[1 + k]["marker"]["color"] == colour


def test_looks_repeat_in_no_way_that_matters() -> None:
    arms = [arm_look(k) for k in range(5 * len(COLOURS))]
    assert len({(look.colour, look.pattern) for look in arms}) == len(arms)
    assert len({(look.colour, look.symbol) for look in arms}) == len(arms)
    assert len({policy_look(k) for k in range(2 * len(POLICIES))}) >= 12
    assert not set(COLOURS) & set(POLICIES)


def test_bands_and_shares_are_those_of_the_seeds() -> None:
    simulation = a_simulation()
    band, line, *_ = learning_curves_plot(simulation).data
    curves = simulation.named("thompson").values("curve")
    assert band["y"][:100] == curves.max(axis=0).tolist()
    assert band["y"][100:] == curves.min(axis=0)[::-1].tolist()
    assert line["y"] == curves.mean(axis=0).tolist()
    assert (line["x"][0], line["x"][-1]) == (1, 250)
    area = np.sum([trace["y"] for trace in simulation_share_plots(simulation)[0].data], axis=0)
    assert area == pytest.approx(1.0)


def test_a_free_model_has_a_place_on_the_axis() -> None:
    simulation = a_simulation()
    points = simulation_points(simulation)
    free = points[0]._replace(cost=points[0].cost._replace(value=0.0, low=0.0, high=0.0))
    for shown, kind in ((points, "log"), ([free, *points[1:]], "linear")):
        assert cost_quality_plot(shown, simulation.arms, "quality", "").layout["xaxis"]["type"] == kind


def test_a_browser_draws_the_page_of_an_evaluation(tmp_path: Path) -> None:
    evaluation = an_evaluation(arms=NASTY)
    visit = open_page(evaluation_page(evaluation, "dr", title=TITLE), tmp_path, height=4400)
    assert visit.console == []
    assert visit.dom.count('<svg class="main-svg"') >= 2 * 6  # front, 3 × shares, clips, calibration
    assert "<title>July &amp; &lt;b&gt;August&lt;/b&gt;</title>" in visit.dom
    assert visit.screenshot.stat().st_size > 50_000
    _unhurt(visit.dom)


def test_a_browser_draws_the_page_of_a_simulation(tmp_path: Path) -> None:
    visit = open_page(simulation_page(a_simulation(NASTY), title=TITLE), tmp_path)
    assert visit.console == []
    assert visit.dom.count('<svg class="main-svg"') >= 2 * 4  # front, curves, 2 × shares
    assert visit.screenshot.stat().st_size > 50_000
    _unhurt(visit.dom)


def _unhurt(dom: str) -> None:
    """No name ran, made an element or was lost from a legend."""
    tag = dom[dom.index("<html") : dom.index("<head")]
    assert "data-hurt" not in tag
    assert f"<script>{HURT}" not in dom
    assert "<img" not in dom
    legends = re.findall(r'<text class="legendtext"[^>]*>(.*?)</text>', dom)
    assert any("&lt;script&gt;" in legend for legend in legends)
    assert any("&lt;marquee&gt;" in legend for legend in legends)
    assert any("&lt;img" in legend for legend in legends)
    assert any("%{x}" in legend for legend in legends)


def test_the_browser_would_tell(tmp_path: Path) -> None:
    """What the tests above rely on: names that are not escaped run, and requests show in the console."""
    page = simulation_page(replace(a_simulation(), name="unsafe"), title="harmless")
    raw = page.replace("<h1>harmless</h1>", f'<script>{HURT}</script><img src="http://example.org/x.png">')
    visit = open_page(raw, tmp_path)
    assert "data-hurt" in visit.dom[: visit.dom.index("<head")]
    assert any("example.org" in line for line in visit.console)


@pytest.mark.parametrize("specs", [(), ("thompson",)])
def test_a_single_seed_makes_a_page(specs: tuple[str, ...]) -> None:
    page = simulation_page(a_simulation(seeds=1, specs=specs), title=TITLE)
    assert ("Verdict" in without_plotly(page)) == bool(specs)


def test_a_page_says_what_was_left_out_and_what_replays_came_to() -> None:
    evaluation = an_evaluation()
    figures = {o: Figure(0.5, 0.01, 0.48, 0.52, 400) for o in OUTCOMES}
    replayed = ReplayResult(
        rows=2000,
        retained=400,
        bound=5.0,
        feedback=dict.fromkeys(OUTCOMES, 400),
        figures=figures | {"quality": None},
        refusals=(Refusal("no-feedback", "no row has quality", "send <b>quality</b>", "quality"),),
        shares=np.full(4, 0.25),
    )
    lines = ["not evaluated: 3 rows, override (first: <i>a</i>)"]
    page = evaluation_page(evaluation, "dr", title=TITLE, left_out=lines, replays={"thompson": [replayed]})
    ours = without_plotly(page)
    assert "<h2>Rows left out</h2>" in ours
    assert "3 rows, override (first: &lt;i&gt;a&lt;/i&gt;)" in ours
    assert "<h2>Replay</h2>" in ours
    assert re.search(r'<th scope="row">thompson</th><td class="number">2,000</td>', ours)
    assert "Cure: send &lt;b&gt;quality&lt;/b&gt;" in ours
    plain = without_plotly(evaluation_page(evaluation, "dr", title=TITLE))
    assert "Rows left out" not in plain
    assert "<h2>Replay</h2>" not in plain
