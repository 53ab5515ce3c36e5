"""A cascade of the gateway learns from exactly what the simulation of its rule says it learns from."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.simulation.stream import make_stream
from bandit_router.posterior.confidence import append_confidence, empty_calibrators
from bandit_router.store.store import Store
from bandit_router.types import Decision, Reason
from simulations.cascade import Pair, area_under_retries, make_rewards, rank_by_gain
from simulations.gateway_cascade import (
    Areas,
    Questions,
    compare_areas,
    play_queries,
    read_calibrators,
    write_settings,
)
from simulations.streams import cost_weight, stream_of

N, LEARN = 240, 160


@pytest.fixture(scope="module")
def questions() -> Questions:
    """The cheap model adds well, and says .9; it rhymes badly, and says .95, or nothing at all."""
    texts = tuple(f"{('Write a poem on', 'Add 7 and')[i % 2]} {i}." for i in range(N))
    adds = np.arange(N) % 2
    data = Dataset(
        name="two kinds",
        queries=texts,
        models=("cheap", "dear"),
        quality=np.column_stack([adds, np.ones(N)]).astype(float),
        cost_usd=np.tile([1e-4, 1e-3], (N, 1)),
    )
    says = np.where(adds, 0.9, np.where(np.arange(N) % 3, 0.95, 0.0))
    return Questions(texts, Pair(stream=make_stream(data, stream_of(data).x), confidence=says))


@pytest.mark.parametrize("strict", [False, True], ids=["all rated", "strict"])
def test_the_gateway_learns_what_was_executed_and_rated(
    questions: Questions, tmp_path: Path, strict: bool
) -> None:
    training, test = questions.take(np.arange(LEARN)), questions.pair.take(np.arange(LEARN, N))
    pair = training.pair
    settings = write_settings(tmp_path, pair, cost_weight(pair.stream, 0.1))
    asyncio.run(play_queries(settings, training, np.random.default_rng(1), strict=strict))
    with closing(Store.open(settings.store.url, "default", create=False)) as store:
        calibrators = read_calibrators(store)
        with store.read_log() as log:
            decisions = [each for each in log.decisions() if isinstance(each, Decision)]
    first = sorted((d for d in decisions if d.parent is None), key=lambda d: d.id)
    assert np.array([decision.x for decision in first]) == pytest.approx(pair.stream.x)
    retried = {d.parent for d in decisions if d.reason is Reason.ESCALATION}
    assert 0 < len(retried) < len(first)

    expected, rated = empty_calibrators(make_rewards(pair.stream)), Counter[str]()
    for row, decision in enumerate(first):
        if decision.arm == "dear":
            continue  # at once: no answer has said how sure it is
        z = append_confidence(pair.stream.x[row], float(pair.confidence[row]))
        for arm in list_rated(decision, retried, strict=strict):
            rated[arm] += 1
            expected.observe(arm, z, float(pair.stream.quality[row, int(arm == "dear")]))
    counts = {arm: int(calibrators.count[calibrators.index(arm)]) for arm in ("cheap", "dear")}
    assert counts == rated
    scores = rank_by_gain(calibrators, pair.stream.arms)(test)
    assert scores == pytest.approx(rank_by_gain(expected.solve(), pair.stream.arms)(test), abs=1e-6)
    assert area_under_retries(scores, test.gain)[0] > 0.7  # 0.75 at best


def list_rated(first: Decision, retried: set[str | None], *, strict: bool) -> list[str]:
    if first.id not in retried:
        return ["cheap"]
    return ["dear"] if strict else ["cheap", "dear"]


def test_an_area_that_is_far_from_the_simulation_is_a_missed_bar() -> None:
    areas = {
        ("near", False): [Areas(0.66, 0.65), Areas(0.64, 0.65)],
        ("far", True): [Areas(0.62, 0.65), Areas(0.64, 0.65)],
    }
    grid, missed = compare_areas(areas, 1_500)
    assert [row.cells[-1] for row in grid.rows] == ["+0.0000 ± 0.0100", "-0.0200 ± 0.0100"]
    assert len(missed) == 1
    assert missed[0].startswith("far, calibrated, online, strict: -0.0200 from the simulation")
