"""RouterBench's and RouteLLM's files, written small in their own form, and price lists."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.evaluation.datasets import Price, load_prices, load_routellm, load_routerbench

# -- RouterBench ----------------------------------------------------------------------------------

WIZARD, GPT = "WizardLM/WizardLM-13B-V1.2", "gpt-4-1106-preview"

ROUTERBENCH: dict[str, list[Any]] = {
    "sample_id": ["mbpp.dev.1", "mmlu.val.2", "riddles.dev.3"],
    "prompt": ["['Write a\\nfunction.']", "[\"It's A or B?\", 'Answer:']", "[not a list"],
    "eval_name": ["mbpp", "mmlu", "riddles"],
    WIZARD: [0.0, 0.25, 1.0],
    GPT: [1.0, 1.0, 0.0],
    f"{WIZARD}|model_response": ["['x']", "['B']", "['?']"],
    f"{GPT}|model_response": ["['y']", "['A']", "['!']"],
    f"{GPT}|total_cost": [0.01, 0.02, 0.03],
    f"{WIZARD}|total_cost": [0.001, 0.002, 0.003],
    "oracle_model_to_route_to": [GPT, GPT, WIZARD],
}


def routerbench(tmp_path: Path, changes: dict[str, Any] | None = None, suffix: str = "csv") -> Path:
    columns = {name: column for name, column in (ROUTERBENCH | (changes or {})).items() if column is not None}
    path = tmp_path / f"routerbench_0shot.{suffix}"
    if suffix == "parquet":
        parquet.write_table(pa.table(columns), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_routerbench_is_read(tmp_path: Path, suffix: str) -> None:
    data = load_routerbench(routerbench(tmp_path, suffix=suffix))
    assert data.name == "routerbench_0shot"
    assert data.queries == ("Write a\nfunction.", "It's A or B?\nAnswer:", "[not a list")
    assert data.tasks == ("mbpp", "mmlu", "riddles")
    assert data.models == (WIZARD, GPT)
    assert data.quality.tolist() == [[0.0, 1.0], [0.25, 1.0], [1.0, 0.0]]
    assert data.cost_usd.tolist() == [[0.001, 0.01], [0.002, 0.02], [0.003, 0.03]]


def test_prompts_may_be_lists_and_tasks_not_known(tmp_path: Path) -> None:
    prompts = [["one", "two"], ["three"], ["four"]]
    data = load_routerbench(routerbench(tmp_path, {"prompt": prompts, "eval_name": None}, "parquet"))
    assert data.queries == ("one\ntwo", "three", "four")
    assert data.tasks is None


def test_some_of_routerbench_s_models_are_read_and_the_others_do_not_matter(tmp_path: Path) -> None:
    data = load_routerbench(routerbench(tmp_path, {WIZARD: ["x", "", "-1"]}), models=[GPT])
    assert data.quality.tolist() == [[1.0], [1.0], [0.0]]
    with pytest.raises(ConfigError, match=f"has no model 'x', allowed are {WIZARD}, {GPT}"):
        load_routerbench(routerbench(tmp_path), models=["x"])


@pytest.mark.parametrize("missing", ["sample_id", "prompt", WIZARD])
def test_a_column_routerbench_has_is_named_when_missing(tmp_path: Path, missing: str) -> None:
    with pytest.raises(ConfigError, match=f"has no column {missing}, which RouterBench's format has"):
        load_routerbench(routerbench(tmp_path, {missing: None}))


def test_routerbench_needs_costs(tmp_path: Path) -> None:
    path = routerbench(tmp_path, {f"{GPT}|total_cost": None, f"{WIZARD}|total_cost": None})
    with pytest.raises(ConfigError, match=r"has no column <model>\|total_cost"):
        load_routerbench(path)


@pytest.mark.parametrize(
    ("suffix", "line", "changes", "says"),
    [
        ("csv", "line 3", {WIZARD: [0.0, 1.5, 1.0]}, f"{WIZARD} is '1.5', allowed is a finite number from"),
        ("parquet", "row 2", {WIZARD: [0.0, 1.5, 1.0]}, f"{WIZARD} is 1.5, allowed is a finite number from"),
        ("csv", "line 3", {f"{GPT}|total_cost": [1, "", 1]}, f"{GPT}|total_cost is missing"),
        ("csv", "line 3", {"prompt": ["one", "", "three"]}, "prompt is missing"),
        ("parquet", "row 2", {"prompt": [["one"], ["\0"], ["three"]]}, "prompt: contains a NUL character"),
    ],
)
def test_a_bad_row_of_routerbench_is_named_or_left_out(
    tmp_path: Path, suffix: str, line: str, changes: dict[str, Any], says: str
) -> None:
    path = routerbench(tmp_path, changes, suffix)
    with pytest.raises(ConfigError) as caught:
        load_routerbench(path)
    assert f"{line}: {says}" in str(caught.value)
    data = load_routerbench(path, skip_bad=True)
    assert data.tasks == ("mbpp", "riddles")
    assert data.cost_usd.shape == (2, 2)


def test_a_sample_twice_is_named(tmp_path: Path) -> None:
    path = routerbench(
        tmp_path, {"sample_id": ["s", "t", "s"], "prompt": ["one"] * 3, "eval_name": ["m"] * 3}
    )
    with pytest.raises(ConfigError, match=rf"line 4: query 's' has 2 results \(lines 2, 4\) for '{WIZARD}'"):
        load_routerbench(path)


# -- RouteLLM -------------------------------------------------------------------------------------

MIXTRAL = "mixtral-8x7b-instruct-v0.1"

MMLU = f'prompt,{MIXTRAL},{GPT}\n"A or\nB?",True,False\nSame,False,True\nSame,True,True\n'
GSM8K = (
    f'prompt,{MIXTRAL},{GPT},{MIXTRAL}_response,{GPT}_response\n12345678,True,True," 1\n#### 18",ninechars\n'
)

PRICES = {
    MIXTRAL: Price(usd_per_1m_input=1.0, usd_per_1m_output=2.0, output_tokens=100),
    GPT: Price(usd_per_call=0.5),
}


def routellm(tmp_path: Path, text: str, name: str = "mmlu_anatomy.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_routellm_is_read_and_priced(tmp_path: Path) -> None:
    data = load_routellm(routellm(tmp_path, MMLU), prices=PRICES)
    assert data.queries == ("A or\nB?", "Same", "Same")  # every row is a query of its own
    assert data.tasks == ("mmlu_anatomy",) * 3
    assert data.models == (GPT, MIXTRAL)
    assert data.quality.tolist() == [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    long, short = (2 * 1 + 100 * 2) / 1e6, (1 * 1 + 100 * 2) / 1e6
    np.testing.assert_allclose(data.cost_usd, [[0.5, long], [0.5, short], [0.5, short]], rtol=1e-12)


def test_answers_in_the_file_are_priced_by_their_length(tmp_path: Path) -> None:
    path = routellm(tmp_path, GSM8K, "gsm8k_responses.csv")
    data = load_routellm(path, prices=PRICES, models=[MIXTRAL])
    assert data.tasks == ("gsm8k",)
    np.testing.assert_allclose(data.cost_usd, [[(2 * 1 + 3 * 2) / 1e6]], rtol=1e-12)
    assert data.output_tokens is None  # an estimate is not knowledge


def test_a_folder_of_routellm_s_is_one_dataset(tmp_path: Path) -> None:
    routellm(tmp_path, MMLU, "mmlu_virology.csv")
    routellm(tmp_path, MMLU, "mmlu_anatomy.csv")
    data = load_routellm(tmp_path, prices=PRICES)
    assert data.name == tmp_path.name
    assert data.tasks == ("mmlu_anatomy",) * 3 + ("mmlu_virology",) * 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="is a folder without CSV files"):
        load_routellm(tmp_path / "empty", prices=PRICES)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("question,m\none,True\n", "has no column prompt"),
        ("prompt\none\n", "has no column of a model beside prompt"),
        (MMLU.replace("Same,False", "Same,maybe"), f"line 4: {MIXTRAL} is 'maybe', allowed is a finite"),
        (MMLU.replace("Same,False", "Same,"), f"line 4: {MIXTRAL} is missing"),
    ],
)
def test_what_is_not_routellm_s_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_routellm(routellm(tmp_path, text), prices=PRICES)


def test_a_bad_row_of_routellm_s_is_left_out_if_asked(tmp_path: Path) -> None:
    path = routellm(tmp_path, MMLU.replace("Same,False,True", "Same,False"))
    assert load_routellm(path, prices=PRICES, skip_bad=True).quality.tolist() == [[0.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("prices", [None, {MIXTRAL: Price()}])
def test_routellm_needs_a_price_for_every_model(tmp_path: Path, prices: dict[str, Price] | None) -> None:
    with pytest.raises(ConfigError, match=f"records no costs, so give prices \\(--prices\\) for {GPT}"):
        load_routellm(routellm(tmp_path, MMLU), prices=prices)


# -- prices ---------------------------------------------------------------------------------------


def test_a_price_counts_tokens_calls_and_the_answer_it_assumes() -> None:
    price = Price(usd_per_1m_input=1.0, usd_per_1m_output=10.0, usd_per_call=0.25, output_tokens=200)
    assert price.cost_usd(1000, 500) == pytest.approx(0.25 + 0.001 + 0.005, rel=1e-12)
    assert price.cost_usd(1000) == pytest.approx(0.25 + 0.001 + 0.002, rel=1e-12)


@pytest.mark.parametrize("field", ["usd_per_1m_input", "usd_per_1m_output", "usd_per_call", "output_tokens"])
@pytest.mark.parametrize("wrong", [-1.0, math.inf, math.nan])
def test_a_price_is_finite_and_not_negative(field: str, wrong: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        Price(**{field: wrong})
    assert caught.value.field == field


def priced(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(text)
    return path


def test_a_price_list_is_read(tmp_path: Path) -> None:
    text = "model,usd_per_1m_input,usd_per_1m_output,output_tokens,provenance\na,1,2,,list\nb,,4,50,guess\n"
    assert load_prices(priced(tmp_path, text)) == {
        "a": Price(usd_per_1m_input=1.0, usd_per_1m_output=2.0),
        "b": Price(usd_per_1m_output=4.0, output_tokens=50.0),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model,input\na,1\n", "needs the columns model and one or more of .* it has model, input"),
        ("name,usd_per_call\na,1\n", "needs the columns model"),
        (
            "model,usd_per_call\na,1\nb,free\n",
            "line 3: usd_per_call is 'free', allowed is a finite number of",
        ),
        ("model,usd_per_call\na,1\n,2\n", "line 3: model is missing"),
        ("model,usd_per_call\na,1\na,2\n", "line 3: model 'a' has a price at line 2 already"),
        ("model,usd_per_call\na,1\nb\n", "line 3: the row has 1 fields"),
    ],
)
def test_a_price_list_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_prices(priced(tmp_path, text))
