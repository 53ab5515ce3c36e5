"""The named streams have the figures that their data's README states."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.simulation.stream import Stream
from simulations.streams import FIVE, HELD_BACK, STREAMS, cost_weight, load_stream
from tests.simulations.worlds import DATA

needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not there")


SIZES = {
    "paretobandit": (3559, 4),
    "zeroeval": (2840, 26),
    "zeroeval8": (2840, 8),
    "zeroeval_a": (2840, 9),
    "zeroeval_b": (2840, 8),
    "llm_confidence": (4705, 7),
    "routellm": (15361, 2),
    "mixed": (7545, 4),
}


@cache
def load(name: str) -> Dataset:
    return STREAMS[name](DATA)


@cache
def load_mixed() -> Stream:
    return load_stream("mixed", DATA)


@needs_data
@pytest.mark.parametrize("name", STREAMS)
def test_streams_are_as_large_as_stated(name: str) -> None:
    data = load(name)
    assert (data.name, (len(data.queries), len(data.models))) == (name, SIZES[name])


def test_no_stream_is_left_out_of_these_tests() -> None:
    assert set(STREAMS) == set(SIZES)
    assert {*FIVE, *HELD_BACK} < set(STREAMS)


@needs_data
def test_models_that_are_held_back_are_in_no_stream_that_constants_were_chosen_on() -> None:
    a, b = (set(load(name).models) for name in HELD_BACK)
    chosen_on = {model for name in ("zeroeval8", "mixed") for model in load(name).models}
    assert not a & b
    assert not (a | b) & chosen_on
    everything = set(load("zeroeval").models)
    assert a | b | (chosen_on & everything) == everything


@needs_data
def test_models_whose_cost_is_a_lower_bound_are_out() -> None:
    hidden = ("o1-mini", "o3", "deepseek-r1", "gemini-2.5")
    for name in ("zeroeval", "zeroeval8", "llm_confidence", "mixed", *HELD_BACK):
        assert not [model for model in load(name).models if model.startswith(hidden)]
    assert [m for m in load("paretobandit").models if "gemini-2.5" in m]  # its costs are recorded


@needs_data
def test_the_mixed_stream_is_the_one_described() -> None:
    stream = load_mixed()
    assert stream.quality.mean(axis=0).round(3).tolist() == [0.642, 0.691, 0.761, 0.834]
    assert stream.cost_usd.mean(axis=0) == pytest.approx([6e-5, 2.3e-4, 2.7e-4, 2.0e-3], rel=0.1)
    assert stream.x.shape[0] == 7545
    assert (stream.x[:, 0] == 1.0).all()


@needs_data
def test_the_dearest_model_costs_the_trade() -> None:
    stream = load_mixed()
    weighed = cost_weight(stream, 0.1) * stream.cost_usd.mean(axis=0)
    assert weighed.max() == pytest.approx(0.1)


@pytest.mark.parametrize("name", STREAMS)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.parquet"):
        STREAMS[name](tmp_path)
