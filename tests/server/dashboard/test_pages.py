"""The pages in a real browser: they load nothing, complain of nothing, and say what the raw log says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from bandit_router.insight.advice import find_advice
from bandit_router.router import Router
from bandit_router.server.dashboard.formats import format_count
from tests.server.dashboard.browsing import Visit
from tests.server.dashboard.conftest import Open
from tests.server.dashboard.raw_log import IN_FORCE, ask
from tests.server.dashboard.world import NAMES, SAVINGS, TASKS, World

INSIDE = "decided_at >= :since AND decided_at < :until"


@pytest.fixture
def database(world: World) -> Path:
    return world.config.with_name("router.db")


@pytest.fixture
def window(world: World) -> dict[str, float]:
    """The two weeks of the overview: whole days up to that of now."""
    end = (int(world.now) // 86_400 + 1) * 86_400
    return {"since": end - 14 * 86_400, "until": end}


PATHS = ["/dashboard", "/dashboard/decisions?reason=override", "a decision", "/dashboard/login"]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, world: World) -> str:
    return f"/dashboard/decisions/{world.newest.id}" if request.param == "a decision" else request.param


# -- what a browser says --------------------------------------------------------------------------


def test_a_page_fits_loads_nothing_from_elsewhere_and_nobody_complains_of_it(visit: Open, path: str) -> None:
    with visit(path) as light, visit(path, color_scheme="dark") as dark:
        assert list_violations(light) == []
        assert list_violations(dark, {"runOnly": ["color-contrast"]}) == []
        light.page.set_viewport_size({"width": 390, "height": 844})  # a telephone's
        assert light.width <= 390
        for each in (light, dark):
            assert each.page.title()
            assert each.console == []
            assert each.elsewhere == []
        background = "getComputedStyle(document.body).backgroundColor"
        assert light.page.evaluate(background) != dark.page.evaluate(background)


def list_violations(here: Visit, options: dict[str, Any] | None = None) -> list[tuple[str, Any]]:
    """The serious faults that axe finds in a page, and where."""
    violations = Axe().run(here.page, options=options).response["violations"]
    return [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]


def test_faults_of_a_page_would_be_noticed(visit: Open) -> None:
    with visit("/dashboard/login") as here:
        here.page.evaluate("document.body.setAttribute('style', 'color: red'); 0")
        here.page.evaluate("Object.assign(new Image(), {src: 'http://127.0.0.1:9/x'}); 0")
        here.page.evaluate("document.querySelector('label').remove()")
        here.page.evaluate("document.querySelector('#key').removeAttribute('placeholder')")
        here.page.wait_for_function("window.faults >= 2")
        assert any(said.startswith("policy: style-src") for said in here.console)
        assert any(said.startswith("policy: img-src") for said in here.console)
        assert [id for id, _ in list_violations(here)] == ["label"]


def test_everything_is_there_without_script(visit: Open, overview: Visit) -> None:
    with visit("/dashboard", java_script_enabled=False) as plain:
        for selector in (".tile", ".panels > .card", "svg.plot", "table", "td data"):
            assert plain.page.locator(selector).count() == overview.page.locator(selector).count() > 0
        plain.page.select_option("select[name=range]", "24h")
        follow(plain.page, "main button[type=submit]")
        assert "range=24h" in plain.page.url
        assert "by hour" in plain.page.locator("#window").inner_text()


def test_the_script_shows_the_numbers_that_are_pointed_at(visit: Open) -> None:
    with visit("/dashboard") as here:
        mark = here.page.locator("#cost .hit").nth(3)
        said = mark.locator("title").text_content()
        mark.hover()
        assert here.page.locator(".tip").text_content() == said
        assert said is not None
        assert "medium: $0." in said


def follow(page: Page, selector: str) -> None:
    """Click what leads to another page, and wait for that."""
    with page.expect_navigation():
        page.click(selector)


# -- what the pages say ---------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["arm", "reason"])
def test_the_comparison_says_what_the_raw_log_says(
    overview: Visit, database: Path, window: dict[str, float], group: str
) -> None:
    of_each = f"SELECT {group}, count(*) FROM decisions WHERE {INSIDE} GROUP BY 1"
    decided: dict[str, int] = dict(ask(database, of_each, **window))
    metrics = read_metrics(database, window, group)
    rows = overview.table(f"by-{group}")
    assert [next(iter(row.values())) for row in rows] == [*sorted(decided), "all"]
    for row in rows[:-1]:
        name = next(iter(row.values()))
        assert row["Decisions"] == decided[name]
        assert row["Share"] == pytest.approx(decided[name] / sum(decided.values()), abs=1e-12)
        for column, metric in (("Quality", "quality"), ("Satisfaction", "satisfaction"), ("Errors", "error")):
            _, mean = metrics.get((name, metric), (0, None))
            assert row[column] == (None if mean is None else pytest.approx(mean, abs=1e-8))
        rated, _ = metrics.get((name, "quality"), (0, 0.0))
        assert row["Rated"] == pytest.approx(rated / decided[name], abs=1e-12)
        n, mean = metrics.get((name, "cost_usd"), (0, None))
        assert row["Cost"] == (None if mean is None else pytest.approx(n * mean, abs=1e-8 * n))
    assert rows[-1]["Decisions"] == sum(decided.values())


def read_metrics(
    database: Path, window: dict[str, float], group: str
) -> dict[tuple[str, str], tuple[int, float]]:
    """Number and mean of the values in force, by arm or reason and metric."""
    in_force = f"SELECT * FROM ({IN_FORCE}) WHERE {INSIDE}"
    means = f"SELECT {group}, metric, count(*), avg(value) FROM ({in_force}) GROUP BY 1, 2"
    return {(name, metric): (n, mean) for name, metric, n, mean in ask(database, means, **window)}


def test_the_decisions_of_each_day_are_counted_once(
    overview: Visit, database: Path, window: dict[str, float]
) -> None:
    day = "CAST((decided_at - :since) / 86400 AS INTEGER)"
    counts = f"SELECT {day}, arm, count(*) FROM decisions WHERE {INSIDE} GROUP BY 1, 2"
    counted = ask(database, counts, **window)
    shown = overview.table("share")
    assert len(shown) == 14
    for i, arm, n in counted:
        assert shown[i][arm] == n
    assert sum(row[arm] for row in shown for arm in NAMES) == sum(n for *_, n in counted)


def test_a_filter_of_an_arm_leaves_its_decisions(
    visit: Open, database: Path, window: dict[str, float]
) -> None:
    ((n,),) = ask(database, f"SELECT count(*) FROM decisions WHERE arm = 'medium' AND {INSIDE}", **window)
    with visit("/dashboard") as here:
        here.page.select_option("select[name=arm]", "medium")
        follow(here.page, "main button[type=submit]")
        assert "arm=medium" in here.page.url
        assert here.page.input_value("select[name=arm]") == "medium"
        assert [(row["Arm"], row["Decisions"]) for row in here.table("by-arm")] == [("medium", n), ("all", n)]
        assert sum(row["Decisions"] for row in here.table("by-reason")[:-1]) == n


def test_the_table_of_tasks_says_what_the_raw_log_says(
    overview: Visit, database: Path, window: dict[str, float]
) -> None:
    days = {"since": window["since"] // 86_400 * 86_400, "until": -(-window["until"] // 86_400) * 86_400}
    name = "(SELECT t.name FROM tasks t WHERE t.number = task)"
    counts = f"SELECT {name}, count(*) FROM decisions WHERE task IS NOT NULL AND {INSIDE} GROUP BY 1"
    decided: dict[str, int] = dict(ask(database, counts, **days))
    metrics = f"SELECT f.*, d.task FROM ({IN_FORCE}) f JOIN decisions d ON d.id = f.id"
    means = f"SELECT {name}, metric, avg(value) FROM ({metrics}) WHERE {INSIDE} GROUP BY 1, 2"
    mean = {(task, metric): value for task, metric, value in ask(database, means, **days)}
    rows = overview.table("by-task")
    assert {row["Task"] for row in rows} == {*decided} == {*TASKS}
    for row in rows:
        assert row["Decisions"] == decided[row["Task"]]
        assert row["Share"] == pytest.approx(decided[row["Task"]] / sum(decided.values()), abs=1e-12)
        assert row["Quality"] == pytest.approx(mean.get((row["Task"], "quality")), abs=1e-8)
        assert row["Cost of a call"] == pytest.approx(mean[row["Task"], "cost_usd"], abs=1e-8)
        assert row["Best arm"] in NAMES
        assert row["Gain"] >= -1e-12
        assert row["Width"] > 0.0


def test_a_filter_of_a_task_leaves_its_decisions(
    visit: Open, database: Path, window: dict[str, float]
) -> None:
    ((n,),) = ask(database, f"SELECT count(*) FROM decisions WHERE task = 1 AND {INSIDE}", **window)
    with visit("/dashboard") as here:
        here.page.select_option("select[name=task]", TASKS[1])
        follow(here.page, "main button[type=submit]")
        assert here.page.input_value("select[name=task]") == TASKS[1]
        assert here.table("by-arm")[-1]["Decisions"] == n


def test_calls_judgements_overrides_and_the_price_of_exploring_are_those_of_the_raw_log(
    overview: Visit, database: Path, window: dict[str, float]
) -> None:
    calls = "SELECT d.arm, c.outcome, count(*) FROM calls c JOIN decisions d ON d.id = c.decision_id"
    ended = ask(database, f"{calls} WHERE {INSIDE} GROUP BY 1, 2", **window)
    judgements = (
        "SELECT count(e.decision_id), count(*) FROM escalations e JOIN decisions d ON d.id = e.parent"
    )
    ((retried, judged),) = ask(database, f"{judgements} WHERE {INSIDE}", **window)
    given_up = "sum(greedy_utility - (expected_quality - cost_weight * expected_cost_usd)), count(*)"
    explored = f"SELECT {given_up} FROM decisions WHERE reason = 'policy' AND {INSIDE}"
    ((price, n),) = ask(database, explored, **window)
    overrides = f"SELECT count(*) FROM decisions WHERE reason = 'override' AND {INSIDE}"
    ((overridden,),) = ask(database, overrides, **window)
    health = {row["Arm"]: row for row in overview.table("health")}
    texts = {id: overview.page.inner_text(f"#{id}") for id in ("cascades", "exploration", "overrides")}
    assert {(arm, outcome): health[arm][outcome.capitalize()] for arm, outcome, _ in ended} == {
        (arm, outcome): n for arm, outcome, n in ended
    }
    assert f"{100 * retried / judged:.1f}% of {format_count(judged)} judged answers" in texts["cascades"]
    assert f"{price / n:.3f} a decision of the policy" in texts["exploration"]
    assert f"n = {format_count(n)}" in texts["exploration"]
    assert f"\n{format_count(overridden)} of " in texts["overrides"]


def test_feedback_that_was_revised_counts_once_and_that_was_retracted_not_at_all(
    overview: Visit, database: Path, window: dict[str, float]
) -> None:
    in_force = f"SELECT * FROM ({IN_FORCE}) WHERE {INSIDE}"
    counts = f"SELECT metric, count(DISTINCT id) FROM ({in_force}) GROUP BY 1"
    counted = dict(ask(database, counts, **window))
    shown = {row["Metric"]: row["Decisions"] for row in overview.table("feedback", nth=1)}
    assert shown.keys() == {"quality", "satisfaction"}
    assert shown == {metric: counted[metric] for metric in shown}


def test_the_advice_is_that_of_the_command_line(overview: Visit, world: World) -> None:
    with Router.open(world.settings) as router:
        advice = find_advice(router, router.calibration())
    assert advice
    assert overview.page.locator(".advice h3").all_inner_texts() == [each.title for each in advice]
    assert overview.page.locator(".advice pre").all_inner_texts() == [each.change for each in advice]


def test_the_savings_are_those_of_the_newest_estimate(overview: Visit) -> None:
    rows = overview.table("savings")
    for row, saving in zip(rows, SAVINGS.savings, strict=True):
        assert (row["Against"], row["Model"]) == (saving.baseline.label, saving.arm)
        for column, estimate in (
            ("Saved a request", saving.usd_per_request),
            ("Quality above the model's", saving.quality),
        ):
            assert row[column] == (None if estimate is None else estimate.value)
        assert row["Stated"] == "yes" if saving.refusal is None else saving.refusal in row["Stated"]


# -- the browser of decisions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fill", "where"),
    [
        (lambda page: page.select_option("select[name=arm]", "small"), "arm = 'small'"),
        (lambda page: page.select_option("select[name=reason]", "override"), "reason = 'override'"),
        (lambda page: page.fill("input[name=user]", "user-3"), "user_id = 'user-3'"),
        (lambda page: page.fill("input[name=text]", "sql <JOIN"), "query LIKE '%SQL <join>%'"),
    ],
    ids=["arm", "reason", "user", "text"],
)
def test_a_search_finds_what_the_raw_log_has(
    visit: Open, database: Path, fill: Callable[[Page], Any], where: str
) -> None:
    expected = [id for (id,) in ask(database, f"SELECT id FROM decisions WHERE {where} ORDER BY id DESC")]
    with visit("/dashboard/decisions") as here:
        fill(here.page)
        follow(here.page, "main button[type=submit]")
        seen = list_decisions(here)
        while here.page.locator("a[rel=next]").count():
            follow(here.page, "a[rel=next]")
            seen += list_decisions(here)
    assert seen == expected


def list_decisions(here: Visit) -> list[str]:
    links: list[str] = here.page.locator("td.when a").evaluate_all("all => all.map(a => a.href)")
    return [link.rsplit("/", 1)[1] for link in links]


def test_an_id_leads_to_its_decision(visit: Open, database: Path) -> None:
    ((id,),) = ask(database, "SELECT decision_id FROM calls WHERE answer_id IS NOT NULL LIMIT 1")
    with visit("/dashboard/decisions") as here:
        for text in (id.upper(), f"chatcmpl-{id}"):
            here.page.goto(f"/dashboard/decisions?id={text}")
            assert here.page.url.endswith(f"/dashboard/decisions/{id}")
        here.page.goto(f"/dashboard/decisions?id={id[:13]}")
        assert id in list_decisions(here)
        here.page.goto("/dashboard/decisions?id=nobody-has-it")
        assert "No decision like that" in here.page.locator("main").inner_text()


def test_a_decision_is_shown_with_all_that_is_logged_of_it(visit: Open, database: Path) -> None:
    retracted = "metric = 'quality' AND value IS NULL AND revision > 0"
    ((id,),) = ask(database, f"SELECT decision_id FROM feedback WHERE {retracted} LIMIT 1")
    ((arm, query, pmf),) = ask(database, "SELECT arm, query, pmf FROM decisions WHERE id = :id", id=id)
    revisions = ask(database, "SELECT metric, value FROM feedback WHERE decision_id = :id", id=id)
    with visit(f"/dashboard/decisions/{id}") as here:
        text = here.page.locator("main").inner_text()
        rows = here.page.locator("section", has_text="Arrived, UTC").locator("tbody tr").count()
        assert here.page.locator("h1").inner_text() == arm
    assert query in text  # with its <, which is no markup
    assert "not eligible: disabled" in text
    assert "retracted" in text
    assert rows == len(revisions)
    for probability in json.loads(pmf):
        assert f"{100 * probability:.1f}%" in text


def test_what_is_wrong_in_an_address_is_named(visit: Open) -> None:
    with visit("/dashboard") as here:
        for path, status, said in (
            ("/dashboard?range=3y", 422, "range"),
            ("/dashboard?since=yesterday", 422, "since"),
            ("/dashboard?range=365d&step=hour", 422, "step"),
            ("/dashboard/decisions?reason=whim", 422, "reason"),
            ("/dashboard/decisions/01890a5d-ac96-774b-bcce-b302099a8057", 404, "01890a5d"),
        ):
            response = here.page.goto(path)
            assert response is not None
            assert response.status == status, path
            assert said in here.page.locator("main").inner_text()
