"""A simulated router that looks after drift, beside one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.channel import Channel
from bandit_router.evaluation.simulation.events import apply_events, parse_event
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.settings.learning import PosteriorSection
from tests.evaluation.simulation.streams import a_stream
from tests.evaluation.simulation.test_simulate import a_setting
from tests.store.truth import assert_same

WARNING = PosteriorSection(on_drift="alarm")
RESETTING = PosteriorSection()


def thumbs(n: int = 1200) -> Stream:
    """The large model is up nine times in ten, the small one half of the time."""
    stream, rng = a_stream(n), np.random.default_rng(0)
    good = np.where(np.array(stream.arms) == "large", 0.9, 0.5)
    return replace(stream, quality=(rng.random(stream.quality.shape) < good).astype(float))


def share_of_large(stream: Stream, posterior: PosteriorSection, start: int, end: int) -> float:
    """Of the queries of that part of the stream, over ten seeds."""
    shares = []
    for seed in range(10):
        setting = replace(a_setting(), rng=np.random.default_rng(seed))
        agent = RouterMaker("tempered", posterior)(setting)
        played = play_stream(stream, agent, Channel(), np.random.default_rng(seed))
        shares.append(np.mean(played.action[start:end] == stream.index("large")))
    return float(np.mean(shares))


def test_a_model_that_degrades_is_left_sooner() -> None:
    stream = thumbs()
    bad = replace(stream, quality=np.where(np.array(stream.arms) == "large", 0.1, 1.0) * stream.quality)
    both = np.where(np.arange(len(stream))[:, None] < 800, stream.quality, bad.quality)
    degraded = replace(stream, quality=both)
    patient, watchful = (share_of_large(degraded, posterior, 860, 960) for posterior in (WARNING, RESETTING))
    assert watchful < 0.2 < patient


def test_without_drift_it_plays_as_one_that_does_not_look() -> None:
    stream = thumbs()
    quiet, watchful = (share_of_large(stream, p, 0, 1200) for p in (WARNING, RESETTING))
    assert quiet == watchful


def test_after_a_reset_it_knows_what_is_younger_and_no_more() -> None:
    stream = thumbs()
    swapped = apply_events(stream, [parse_event("quality:large@800=small")])
    swapped = replace(swapped, quality=np.where(np.arange(1200)[:, None] < 800, swapped.quality, 0.0))
    agent = RouterMaker("tempered", RESETTING)(a_setting())
    play_stream(swapped, agent, Channel(), np.random.default_rng(0))
    assert agent.monitor is not None
    assert agent.monitor.reset_at
    again = agent.state.rewards.without_evidence()
    for one in agent.outcomes:
        again.observe(one.arm, one.x, one.quality, float(one.decision))
    assert_same(agent.state.rewards, again)
    assert agent.state.rewards.count.sum() < 1200


def test_it_does_not_look_when_it_is_to_warn_only() -> None:
    setting: Setting = a_setting()
    assert RouterMaker("tempered", WARNING)(setting).monitor is None
