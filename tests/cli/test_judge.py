"""`judge`: stored answers compared by a scripted judge, once each; and the agreement of the log's judge."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from bandit_router.providers.scripted import Scene, ScriptedRequest
from bandit_router.router import Router
from bandit_router.types import Usage
from tests.cli.conftest import Run
from tests.gateway.conftest import arms_to
from tests.providers.upstream import Upstream
from tests.services import write_settings

USAGE = Usage(input_tokens=100, output_tokens=10)
PRICE_USD = (100 * 1.0 + 10 * 2.0) / 1e6


def play_judge(request: ScriptedRequest) -> Scene:
    """Prefers the answer with the larger number, and scores one by its number; 7 overwhelms the server."""
    prompt = request.fields()["messages"][0]["content"]
    numbers = [int(n) for n in re.findall(r"<answer\S*>\nsay (\d+)\n", prompt)]
    if 7 in numbers:
        return Scene(status=500)
    if len(numbers) == 1:
        return Scene(pieces=(f"So.\nSCORE: {numbers[0]}",), usage=USAGE)
    first, second = numbers
    verdict = "TIE" if first == second else "A" if first > second else "B"
    return Scene(pieces=(f"So.\nBETTER: {verdict}",), usage=USAGE)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    with arms_to(tmp_path, {"judge": play_judge}, judge={"arm": "judge"}) as (settings, upstreams):
        with Router.open(settings):
            pass  # the database is there
        yield upstreams["judge"]


def write_answers(folder: Path, *rows: tuple[int, int]) -> None:
    lines = [
        {"query": f"q{i}", "answers": {"small": f"say {a}", "large": f"say {b}"}, "reference": "say 9"}
        for i, (a, b) in enumerate(rows)
    ]
    (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, lines)))


def test_pairs_are_compared_in_both_orders_and_paid_for_once(
    call: Run, tmp_path: Path, upstream: Upstream
) -> None:
    write_answers(tmp_path, (1, 5), (3, 3), (6, 2))
    first = json.loads(call("judge", "answers.jsonl", "--json").out)
    assert (first["comparisons"], first["abstained"], first["asked"], first["left"]) == (3, 0, 5, 0)
    assert first["usd"] == pytest.approx(5 * PRICE_USD)  # equal answers are one prompt in either order
    assert {arm: (made["n"], made["value"]) for arm, made in first["arms"].items()} == {
        "large": (3, 0.5),
        "small": (3, 0.5),
    }
    write_answers(tmp_path, (1, 5), (3, 3), (6, 2), (4, 8))
    again = json.loads(call("judge", "answers.jsonl", "--json").out)
    assert (again["comparisons"], again["asked"], len(upstream.app.calls)) == (4, 2, 7)
    assert again["usd"] == pytest.approx(7 * PRICE_USD)
    assert again["arms"]["large"]["value"] == 2.5 / 4
    table = call("judge", "answers.jsonl")
    assert "0 prompts asked, 0 failed, 0 left" in table.out
    assert len(upstream.app.calls) == 7


def test_answers_are_scored_against_references(call: Run, tmp_path: Path, upstream: Upstream) -> None:
    write_answers(tmp_path, (1, 5), (3, 9))
    made = json.loads(call("judge", "answers.jsonl", "--references", "--json").out)
    assert {arm: each["value"] for arm, each in made["arms"].items()} == {"large": 0.7, "small": 0.2}
    assert all("say 9" in json.loads(each.body)["messages"][0]["content"] for each in upstream.app.calls)


def test_a_budget_ends_a_run_and_a_larger_one_goes_on(call: Run, tmp_path: Path, upstream: Upstream) -> None:
    write_answers(tmp_path, (1, 5), (3, 4))
    options = ("judge", "answers.jsonl", "--json", "--concurrency", "1")
    stopped = call(*options, "--budget", str(0.5 * PRICE_USD))
    assert "stopped: calls to judge have a budget of" in stopped.err
    assert (json.loads(stopped.out)["asked"], json.loads(stopped.out)["left"]) == (1, 3)
    assert (json.loads(call(*options).out)["asked"], len(upstream.app.calls)) == (3, 4)


def test_what_failed_is_asked_again(call: Run, tmp_path: Path, upstream: Upstream) -> None:
    write_answers(tmp_path, (7, 5), (3, 4))
    made = json.loads(call("judge", "answers.jsonl", "--json").out)
    assert (made["asked"], made["failed"], made["left"], made["comparisons"]) == (2, 2, 2, 1)
    call("judge", "answers.jsonl", "--json")
    assert len(upstream.app.calls) == 6


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("judge",), "answers: or --agreement is needed, not both"),
        (("judge", "answers.jsonl", "--agreement"), "answers: or --agreement is needed, not both"),
        (("judge", "answers.jsonl", "--arm", "nobody"), "arm: 'nobody' is no arm of router.toml"),
        (("judge", "none.jsonl"), "none.jsonl: cannot be read"),
        (("judge", "--agreement", "--metric", "stars"), "stars: is not a metric"),
        (("judge", "answers.jsonl", "--out", "router.toml"), "router.toml: is not a file of verdicts"),
    ],
)
@pytest.mark.usefixtures("upstream")
def test_what_cannot_be_done_is_said(
    call: Run, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    write_answers(tmp_path, (1, 2))
    assert told in call(*arguments).error


def test_agreement_is_that_of_the_answers_with_both_metrics(call: Run, tmp_path: Path) -> None:
    """A judge that prefers the large arm, whatever people say."""
    rng, pairs = np.random.default_rng(2), []
    path = write_settings(tmp_path, policy={"name": "uniform"}, learner={"interval_s": 3600.0})
    with Router.open(path, rng=np.random.default_rng(3)) as router:
        for i in range(120):
            decision = router.route(f"query {i}")
            human, judged = float(rng.random() < 0.6), float(decision.arm == "large")
            router.feedback(decision.id, quality=human)
            if i % 3:
                router.feedback(decision.id, judged=judged)
                pairs.append((decision.arm, human, judged))
    made = json.loads(call("judge", "--agreement", "--json").out)
    _, humans, verdicts = zip(*pairs, strict=True)
    assert made["all"]["kappa"]["value"] == pytest.approx(cohen_kappa_score(humans, verdicts))
    assert made["all"]["agreement"]["value"] == pytest.approx(np.mean(np.equal(humans, verdicts)))
    for arm in ("small", "large"):
        of_arm = [(h, j) for name, h, j in pairs if name == arm]
        assert made["arms"][arm]["agreement"]["n"] == len(of_arm)
        assert made["arms"][arm]["bias"]["value"] == pytest.approx(np.mean([j - h for h, j in of_arm]))
    table = call("judge", "--agreement").out
    assert "all models" in table
    assert f"{made['all']['kappa']['value']:.2f} (" in table


@pytest.mark.parametrize("metric", ["invalid_json", "tool_error", "regenerated", "abandoned"])
def test_agreement_of_what_is_measured_by_itself_counts_its_absence_as_good(
    call: Run, tmp_path: Path, metric: str
) -> None:
    pairs = [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 3 + [(1.0, 1.0)] + [(0.0, 0.0)] * 2
    with Router.open(write_settings(tmp_path)) as router:
        for quality, fault in pairs:
            said: dict[str, Any] = {"quality": quality, metric: fault}
            router.feedback(router.route("q").id, **said)
        router.feedback(router.route("q").id, **dict[str, Any]({metric: 1.0}))  # nobody has rated it
    made = json.loads(call("judge", "--agreement", "--of", metric, "--json").out)
    assert made["of"] == metric
    assert made["all"]["agreement"]["n"] == len(pairs)
    assert made["all"]["agreement"]["value"] == pytest.approx(8 / 11)
    goods = [fault == 0.0 for _, fault in pairs]
    humans = [quality == 1.0 for quality, _ in pairs]
    assert made["all"]["kappa"]["value"] == pytest.approx(cohen_kappa_score(humans, goods))


def test_without_both_metrics_there_is_nothing_to_compare(call: Run, tmp_path: Path) -> None:
    with Router.open(write_settings(tmp_path)) as router:
        router.feedback(router.route("q").id, judged=1.0)
    assert "no answer has both judged and quality" in call("judge", "--agreement").out
