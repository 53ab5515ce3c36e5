"""Charts: right in small examples, well-formed whatever they are given, and nothing outside the picture."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.server.dashboard.charts.bars import draw_bar, draw_interval
from bandit_router.server.dashboard.charts.calibration_plot import Bin, draw_calibration
from bandit_router.server.dashboard.charts.lines import Line, LinePoint, draw_lines, find_runs
from bandit_router.server.dashboard.charts.markup import Markup, make_element, make_number
from bandit_router.server.dashboard.charts.plot import HEIGHT, PLANE, SPAN, TOP
from bandit_router.server.dashboard.charts.scale import fit_scale
from bandit_router.server.dashboard.charts.sparkline import draw_sparkline
from bandit_router.server.dashboard.charts.stacked_bars import Stack, draw_stacked_bars
from bandit_router.server.dashboard.formats import format_number

values = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
names = st.text(max_size=20)


def parse(picture: Markup) -> ET.Element:
    return ET.fromstring(picture)


def points_of(picture: ET.Element, class_: str) -> list[list[tuple[float, float]]]:
    """The corners of every mark of a class."""
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in mark.attrib["points"].split())]
        for mark in picture.iter()
        if mark.attrib.get("class", "").startswith(class_)
    ]


def attributes(picture: ET.Element) -> Iterator[tuple[str, str]]:
    for element in picture.iter():
        yield from element.attrib.items()


# -- scales ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_values", "least", "ticks"),
    [
        ([0.13, 0.87], 0.0, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ([3.0, 17.0], None, (0.0, 5.0, 10.0, 15.0, 20.0)),
        ([-1.0, 1.0], None, (-1.0, -0.5, 0.0, 0.5, 1.0)),
        ([20.0], 0.0, (0.0, 5.0, 10.0, 15.0, 20.0)),
        ([0.0], 0.0, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ([], None, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ([math.nan, math.inf, 4.0], 0.0, (0.0, 1.0, 2.0, 3.0, 4.0)),
    ],
)
def test_a_scale_has_round_ticks(
    given_values: list[float], least: float | None, ticks: tuple[float, ...]
) -> None:
    assert fit_scale(given_values, least=least).ticks == pytest.approx(ticks)


@given(st.lists(st.floats(-1e12, 1e12), max_size=20))
def test_a_scale_holds_all_values(given_values: list[float]) -> None:
    scale = fit_scale(given_values)
    assert 2 <= len(scale.ticks) <= 5
    assert all(0.0 <= scale.place(value) <= 1.0 for value in given_values)
    slack = 1e-6 * max(map(abs, given_values), default=1.0)
    assert all(scale.low - slack <= value <= scale.high + slack for value in given_values)


# -- markup ---------------------------------------------------------------------------------------


def test_what_is_text_is_escaped_and_what_is_markup_is_not() -> None:
    inner = make_element("title", "<b> & \x00")
    assert make_element("g", inner, class_='"x"', stroke_width=1.50) == (
        '<g class="&#34;x&#34;" stroke-width="1.5"><title>&lt;b&gt; &amp; \ufffd</title></g>'
    )


@pytest.mark.parametrize(
    ("number", "text"), [(0.0, "0"), (-0.001, "0"), (1.005, "1"), (12.50, "12.5"), (-3.0, "-3")]
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert make_number(number) == text


def test_a_number_that_is_not_finite_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        make_number(math.nan)


# -- pictures -------------------------------------------------------------------------------------


def test_a_line_goes_through_its_points_and_breaks_at_gaps() -> None:
    line = Line(
        name="small",
        colour="c0",
        points=[LinePoint(0.0, 0.0, 0.5), LinePoint(1.0, 0.5, 1.0), None, LinePoint(0.5)],
    )
    picture = parse(
        draw_lines("Quality", "By day.", ["a", "b", "c", "d"], [line], number_format=format_number)
    )
    assert points_of(picture, "line") == [
        [(125.0, 1000.0), (375.0, 0.0)],
        [(875.0, 500.0), (875.0, 500.0)],  # one point alone is a dot
    ]
    assert points_of(picture, "band") == [[(125.0, 500.0), (375.0, 0.0), (375.0, 500.0), (125.0, 1000.0)]]
    assert picture.attrib["role"] == "img"
    assert [child.text for child in list(picture)[:2]] == ["Quality", "By day."]
    notes = [hit[0].text for hit in picture.iter("rect") if hit.attrib["class"] == "hit"]
    assert notes[1] == "b\nsmall: 1 (0.5 to 1)"
    assert notes[2] == "c"


def test_stacked_bars_divide_each_slot_by_share() -> None:
    stacks = [Stack(name="a", colour="c0", amounts=[1, 0]), Stack(name="b", colour="c1", amounts=[3, 0])]
    picture = parse(draw_stacked_bars("Share", "By day.", ["x", "y"], stacks))
    bars = [bar.attrib for bar in picture.iter("rect") if bar.attrib["class"].startswith("area")]
    assert [(bar["class"], float(bar["y"]), float(bar["height"])) for bar in bars] == [
        ("area c0", TOP + 0.75 * PLANE, 0.25 * PLANE),
        ("area c1", TOP, 0.75 * PLANE),
    ]
    assert [(bar["x"], bar["width"]) for bar in bars] == [("4%", "42%")] * 2


def test_a_calibration_that_is_right_lies_on_the_diagonal() -> None:
    picture = parse(draw_calibration("Calibration", "", [Bin(0.5, 0.5, 0.25, 0.75, 40)]))
    (dot,) = picture.iter("circle")
    diagonal = next(line.attrib for line in picture.iter("line") if line.attrib["class"] == "diagonal")
    ends = {name: float(diagonal[name]) for name in ("x1", "x2", "y1", "y2")}
    assert float(dot.attrib["cx"]) == (ends["x1"] + ends["x2"]) / 2.0
    assert float(dot.attrib["cy"]) == (ends["y1"] + ends["y2"]) / 2.0
    assert dot[0].text == "predicted 0.500, came 0.500 (0.250 to 0.750), n = 40"


def test_bars_are_cut_at_their_ends() -> None:
    assert 'width="100%" height="100%" class="area accent"' in draw_bar(1.5)
    assert 'x="90%" width="10%"' in draw_interval(0.95, 0.9, 1.2)


lines = st.lists(
    st.builds(
        Line,
        name=names,
        colour=st.just("c0"),
        points=st.lists(
            st.one_of(st.none(), st.builds(LinePoint, st.floats(), low=values, high=values)),
            min_size=3,
            max_size=3,
        ),
    ),
    max_size=3,
)


@given(lines, st.lists(names, min_size=3, max_size=3), names)
def test_lines_are_well_formed_and_inside_whatever_they_are_given(
    drawn: list[Line], labels: list[str], title: str
) -> None:
    picture = parse(draw_lines(title, title, labels, drawn, number_format=format_number))
    for class_ in ("line", "band", "whisker"):
        for corner in (corner for mark in points_of(picture, class_) for corner in mark):
            assert all(0.0 <= place <= SPAN for place in corner)
    assert "style" not in dict(attributes(picture))
    assert float(picture.attrib["height"]) == HEIGHT


@given(st.lists(st.tuples(names, st.lists(st.floats(0.0, 1e9), min_size=2, max_size=2)), max_size=4))
def test_stacked_bars_fill_the_plane_whatever_they_are_given(drawn: list[tuple[str, list[float]]]) -> None:
    stacks = [Stack(name=name, colour="c0", amounts=amounts) for name, amounts in drawn]
    picture = parse(draw_stacked_bars("Share", "", ["a", "b"], stacks))
    bars = [bar.attrib for bar in picture.iter("rect") if bar.attrib["class"].startswith("area")]
    for bar in bars:
        assert TOP - 0.01 <= float(bar["y"]) <= TOP + PLANE + 0.01
        assert float(bar["y"]) + float(bar["height"]) <= TOP + PLANE + 0.02
    filled = sum(float(bar["height"]) for bar in bars)
    slots = sum(sum(amounts[i] for _, amounts in drawn) > 0.0 for i in range(2))
    assert filled == pytest.approx(slots * PLANE, abs=0.1)


@given(st.lists(values, max_size=10))
def test_a_sparkline_is_well_formed_and_inside(drawn: list[float | None]) -> None:
    picture = parse(draw_sparkline(drawn))
    for mark in picture.iter("polyline"):
        for x, y in (pair.split(",") for pair in mark.attrib["points"].split()):
            assert 0.0 <= float(x) <= 100.0
            assert 0.0 <= float(y) <= 24.0


@given(st.lists(st.one_of(st.none(), st.floats().map(LinePoint)), max_size=12))
def test_runs_are_all_finite_values_without_gaps(points: list[LinePoint | None]) -> None:
    runs = list(find_runs(points))
    assert all(run for run in runs)
    assert [i for run in runs for i, _ in run] == [
        i for i, point in enumerate(points) if point is not None and math.isfinite(point.value)
    ]
    assert all(b[0][0] > a[-1][0] + 1 for a, b in itertools.pairwise(runs))
