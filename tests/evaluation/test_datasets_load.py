"""One entry point for every format, and the mixed stream of the real data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import (
    Price,
    load_dataset,
    load_paretobandit,
    load_prices,
    mixed_stream,
)

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

LONG = "text,model,quality,cost_usd\none,a,0.5,1\none,b,1,2\n"
ROUTERBENCH = "sample_id,prompt,eval_name,a,b,a|total_cost,b|total_cost\ns,one,t,0.5,1,1,2\n"
ROUTELLM = "prompt,a,b\none,True,False\n"
FREE = {"a": Price(), "b": Price()}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(text)
    return path


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not beside the checkout ({SHARED})")
    return SHARED


# -- formats --------------------------------------------------------------------------------------


def test_paretobandit_is_called_by_name() -> None:
    whole = load_paretobandit()
    assert load_dataset("paretobandit").queries == whole.queries
    last = whole.models[2]
    assert load_dataset("paretobandit", models=[last]).quality.tolist() == whole.quality[:, [2]].tolist()


@pytest.mark.parametrize("text", [LONG, ROUTERBENCH])
def test_a_format_is_known_by_its_columns(tmp_path: Path, text: str) -> None:
    data = load_dataset(str(written(tmp_path, text)))
    assert (data.queries, data.models) == (("one",), ("a", "b"))
    assert (data.quality.tolist(), data.cost_usd.tolist()) == ([[0.5, 1.0]], [[1.0, 2.0]])
    assert load_dataset(written(tmp_path, text), models=["b"]).cost_usd.tolist() == [[2.0]]


def test_routellm_s_format_is_known_by_its_columns_or_its_folder(tmp_path: Path) -> None:
    path = written(tmp_path, ROUTELLM)
    assert load_dataset(path, prices=FREE).quality.tolist() == [[1.0, 0.0]]
    assert load_dataset(tmp_path, prices=FREE, models=["b"]).quality.tolist() == [[0.0]]


def test_columns_and_scale_reach_the_table(tmp_path: Path) -> None:
    path = written(tmp_path, "prompt,llm,score,usd\none,a,5,1\n")
    columns = {"text": "prompt", "model": "llm", "quality": "score", "cost_usd": "usd"}
    assert load_dataset(path, columns=columns, scale=(0, 10)).quality.tolist() == [[0.5]]


@pytest.mark.parametrize(
    "text",
    [
        LONG.replace("one,b,1,2", "two,b,9,2\ntwo,a,1,1\none,b,1,2"),
        ROUTERBENCH + "r,two,t,9,1,1,2\n",
        ROUTELLM + "two,True,maybe\n",
    ],
)
def test_bad_rows_are_skipped_in_every_format_if_asked(tmp_path: Path, text: str) -> None:
    path, prices = written(tmp_path, text), FREE if text.startswith("prompt") else None
    with pytest.raises(ConfigError, match=r"leave those queries out with skip_bad \(--skip-bad\)"):
        load_dataset(path, prices=prices)
    assert load_dataset(path, prices=prices, skip_bad=True).queries == ("one",)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (ROUTERBENCH, {"prices": FREE}, "prices: not for RouterBench's format; leave it out"),
        (ROUTERBENCH, {"scale": (0, 10)}, "scale: not for RouterBench's format; leave it out"),
        (ROUTELLM, {"prices": FREE, "scale": (0, 10)}, "scale: not for RouteLLM's format; leave it out"),
        (LONG, {"prices": FREE}, r"records costs in cost_usd; leave prices \(--prices\) out"),
        (LONG, {"models": ["c"]}, "has no model 'c', allowed are a, b"),
        ("id,score\n1,2\n", {}, r"its columns \(id, score\) are of no known format; for one row per query"),
    ],
)
def test_an_option_that_would_do_nothing_or_a_strange_file_is_refused(
    tmp_path: Path, text: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load_dataset(written(tmp_path, text), **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"columns": {}}, "columns: not for paretobandit"),
        ({"prices": FREE}, "prices: not for paretobandit"),
        ({"models": ["c"]}, "paretobandit: models: has no 'c'; choose from google/"),
    ],
)
def test_an_option_that_does_not_fit_paretobandit_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_dataset("paretobandit", **options)


def test_a_folder_takes_no_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="columns: not for a folder of RouteLLM's"):
        load_dataset(tmp_path, columns={"text": "prompt"})


# -- the real data --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("paretobandit", (3559, 4)),
        ("zeroeval", (2840, 27)),
        ("llm_confidence", (4705, 11)),
        ("routellm", (15361, 2)),
    ],
)
def test_every_real_file_is_a_complete_matrix(shared: Path, name: str, shape: tuple[int, int]) -> None:
    data = load_dataset(shared / f"{name}.parquet")
    assert data.quality.shape == shape
    assert data.tasks is not None
    assert data.input_tokens is not None
    assert (data.confidence is not None) == (name == "llm_confidence")


def test_the_mixed_stream_has_the_figures_it_is_described_by(shared: Path) -> None:
    data = mixed_stream(shared / "zeroeval.parquet", shared / "llm_confidence.parquet")
    assert (data.name, data.quality.shape) == ("mixed", (7545, 4))
    assert [model.split("-")[0] for model in data.models] == ["Meta", "claude", "Meta", "gpt"]
    assert len(set(data.tasks or ())) == 7
    assert [f"{quality:.3f}" for quality in data.quality.mean(axis=0)] == ["0.642", "0.691", "0.761", "0.834"]
    costs = data.cost_usd.mean(axis=0)
    assert [f"{costs[0]:.0e}", *(f"{c:.1e}" for c in costs[1:])] == [
        "6e-05",
        "2.3e-04",
        "2.7e-04",
        "2.0e-03",
    ]
    assert data.confidence is not None
    assert np.isnan(data.confidence[:2840]).all()
    assert np.isnan(data.confidence[2840:]).mean() < 0.05


def test_the_real_price_list_is_read(shared: Path) -> None:
    prices = load_prices(shared / "prices.csv")
    assert prices["gpt-4o"] == Price(usd_per_1m_input=2.5, usd_per_1m_output=10.0)
