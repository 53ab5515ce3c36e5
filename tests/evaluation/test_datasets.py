"""The dataset: what it accepts, taking rows and models of it, joining several, and the demo's data."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.evaluation.datasets import Dataset, concatenate, load_paretobandit

NAN = np.nan

OPTIONAL: dict[str, Any] = {
    "tasks": ("t", "u", "v"),
    "input_tokens": np.array([5.0, NAN, 7.0]),
    "output_tokens": np.array([[1.0, 2.0], [NAN, 4.0], [5.0, 6.0]]),
    "latency_s": np.array([[0.1, NAN], [0.3, 0.4], [0.5, 0.6]]),
    "confidence": np.array([[0.0, 1.0], [NAN, NAN], [0.5, 0.6]]),
}
MATRICES = ("output_tokens", "latency_s", "confidence")


def a_dataset(**changes: Any) -> Dataset:
    usual: dict[str, Any] = {
        "name": "tiny",
        "queries": ("one", "two", "three"),
        "models": ("a", "b"),
        "quality": np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
        "cost_usd": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    }
    return Dataset(**(usual | changes))


# -- Dataset --------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["quality", "cost_usd"])
@pytest.mark.parametrize(
    "wrong",
    [
        np.full((3, 2), np.nan),
        np.full((3, 2), np.inf),
        np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]]),
        np.zeros((2, 3)),
        np.zeros((2, 2)),
        np.zeros(6),
    ],
)
def test_a_matrix_with_gaps_or_negative_numbers_is_refused(field: str, wrong: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        a_dataset(**{field: wrong})
    assert caught.value.field == field


def test_quality_is_at_most_one() -> None:
    a_dataset(quality=np.ones((3, 2)))
    with pytest.raises(InvalidInput, match="exceeds 1"):
        a_dataset(quality=np.full((3, 2), 1.0 + 1e-9))


@pytest.mark.parametrize("field", ["input_tokens", *MATRICES])
@pytest.mark.parametrize("wrong", [np.inf, -np.inf, -1e-9])
def test_what_is_known_besides_is_not_negative_or_infinite(field: str, wrong: float) -> None:
    values = OPTIONAL[field].copy()
    values.flat[2] = wrong
    with pytest.raises(InvalidInput) as caught:
        a_dataset(**{field: values})
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["input_tokens", *MATRICES])
@pytest.mark.parametrize("shape", [(2,), (3, 1), (2, 2), (6,)])
def test_what_is_known_besides_has_a_value_for_each(field: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        a_dataset(**{field: np.zeros(shape)})
    assert caught.value.field == field


def test_each_query_has_a_task_or_none_has() -> None:
    with pytest.raises(InvalidInput, match="has 2 names; give one for each of 3 queries"):
        a_dataset(tasks=("t", "u"))


def test_confidence_is_at_most_one() -> None:
    with pytest.raises(InvalidInput, match="confidence: exceeds 1"):
        a_dataset(confidence=np.full((3, 2), 1.1))


def test_two_models_do_not_share_a_name() -> None:
    with pytest.raises(InvalidInput, match="has one name twice"):
        a_dataset(models=("a", "a"))


@given(st.lists(st.integers(0, 2), max_size=8))
def test_taking_rows_takes_each_query_with_its_outcomes(rows: list[int]) -> None:
    whole = a_dataset(**OPTIONAL)
    taken = whole.take(np.array(rows, dtype=np.int64))
    assert taken.models == whole.models
    assert taken.queries == tuple(whole.queries[i] for i in rows)
    for k, i in enumerate(rows):
        assert taken.quality[k].tolist() == whole.quality[i].tolist()
        assert taken.cost_usd[k].tolist() == whole.cost_usd[i].tolist()
    assert taken.tasks == tuple(OPTIONAL["tasks"][i] for i in rows)
    for name in ("input_tokens", *MATRICES):
        for k, i in enumerate(rows):
            np.testing.assert_array_equal(getattr(taken, name)[k], OPTIONAL[name][i])


def test_taking_rows_of_what_is_not_known_knows_no_more() -> None:
    taken = a_dataset().take(np.array([1]))
    assert [getattr(taken, name) for name in OPTIONAL] == [None] * 5


def test_only_some_models_keep_every_query() -> None:
    whole = a_dataset(**OPTIONAL)
    some = whole.only(["b", "a"], {"a": "x"})
    assert some.models == ("b", "x")
    assert (some.queries, some.tasks, some.name) == (whole.queries, whole.tasks, whole.name)
    np.testing.assert_array_equal(some.input_tokens, whole.input_tokens)
    for name in ("quality", "cost_usd", *MATRICES):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[:, [1, 0]])
    assert whole.only(["b"]).quality.tolist() == [[0.2], [0.4], [0.6]]


@pytest.mark.parametrize(
    ("models", "names", "says"),
    [
        (["a", "c"], None, "models: has no 'c'; choose from a, b"),
        (["a"], {"c": "x"}, "models: has no 'c'; choose from a, b"),
        (["a", "a"], None, "is empty or has one twice; name each once, from a, b"),
        ([], None, "is empty or has one twice; name each once, from a, b"),
        (["a", "b"], {"a": "b"}, "has one name twice"),
    ],
)
def test_models_that_cannot_be_chosen_are_named(
    models: list[str], names: dict[str, str] | None, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        a_dataset().only(models, names)


def test_datasets_are_joined_in_the_order_of_the_first_one_s_models() -> None:
    first, second = a_dataset(), a_dataset(**OPTIONAL, name="more").only(["b", "a"])
    joined = concatenate([first, second], "both")
    assert (joined.name, joined.models) == ("both", ("a", "b"))
    assert joined.queries == first.queries * 2
    assert joined.quality.tolist() == first.quality.tolist() * 2
    assert joined.cost_usd.tolist() == first.cost_usd.tolist() * 2
    assert joined.tasks == ("tiny",) * 3 + OPTIONAL["tasks"]
    for name in ("input_tokens", *MATRICES):
        unknown = np.full_like(OPTIONAL[name], NAN)
        np.testing.assert_array_equal(getattr(joined, name), np.concatenate([unknown, OPTIONAL[name]]))


def test_what_no_dataset_knows_is_not_known_of_both() -> None:
    joined = concatenate([a_dataset(), a_dataset()], "both")
    assert [getattr(joined, name) for name in OPTIONAL] == [None] * 5


def test_datasets_of_different_models_are_not_joined() -> None:
    with pytest.raises(InvalidInput, match="tiny and other differ in b, c"):
        concatenate([a_dataset(), a_dataset(name="other", models=("a", "c"))], "both")
    with pytest.raises(InvalidInput, match="datasets: is empty"):
        concatenate([], "none")


# -- the demo's data ------------------------------------------------------------------------------


def test_the_demo_has_thousands_of_judged_queries_of_three_models() -> None:
    data = load_paretobandit()
    assert len(data.queries) == len(data.quality) > 3000
    assert len(data.models) == len(set(data.models)) == 3
    assert all(query.strip() for query in data.queries)


def test_on_the_demo_s_data_models_differ_in_quality_and_in_price() -> None:
    data = load_paretobandit()
    assert np.ptp(data.quality.mean(axis=0)) > 0.01
    assert data.cost_usd.mean(axis=0).max() > 3.0 * data.cost_usd.mean(axis=0).min()
    best = data.quality.argmax(axis=1)
    assert min(np.bincount(best, minlength=3)) > 0.01 * len(best)  # so that there is something to learn


def test_the_demo_s_queries_have_tasks() -> None:
    assert {"gsm8k", "mbpp"} < set(load_paretobandit().tasks or ())


def test_without_its_package_the_demo_s_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pareto_bandit", None)
    with pytest.raises(ConfigError, match=r"pip install 'bandit-router\[demo\]'"):
        load_paretobandit()
