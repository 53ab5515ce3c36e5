from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.features import (
    STATISTIC_NAMES,
    Embedder,
    Pipeline,
    build_pipeline,
    build_vector_pipeline,
    query_from_text,
    text_statistics,
)
from bandit_router.types import Query
from tests.features.conftest import TEXTS

STATISTICS = len(STATISTIC_NAMES)
PINNED = (6.415182, -14.156610, -49.730610)


# -- contexts from text ---------------------------------------------------------------------------


def test_a_context_is_the_bias_the_statistics_and_the_embedding(pipeline: Pipeline, embed: Embedder) -> None:
    query = query_from_text("Prove that there are infinitely many primes.", user_tier="premium")
    expected = np.concatenate([[1.0], text_statistics(query), embed(query.text)])
    np.testing.assert_array_equal(pipeline.context(query), expected)


def test_without_an_embedding_a_context_is_the_bias_and_the_statistics(plain_pipeline: Pipeline) -> None:
    query = query_from_text("Why?")
    expected = np.concatenate([[1.0], text_statistics(query)])
    np.testing.assert_array_equal(plain_pipeline.context(query), expected)


@given(text=TEXTS, turn=st.integers(1, 1000), chars=st.integers(0, 10**7))
def test_contexts_of_any_text_are_finite_and_of_length_d(
    text: str, turn: int, chars: int, pipeline: Pipeline
) -> None:
    x = pipeline.context(Query(text=text, turn=turn, prompt_chars=chars))
    assert x.shape == (pipeline.dim,)
    assert x.dtype == np.float64
    assert np.all(np.abs(x) <= 1.0)


@given(text=TEXTS)
def test_the_same_query_gives_the_same_bits(text: str, pipeline: Pipeline) -> None:
    query = query_from_text(text)
    np.testing.assert_array_equal(pipeline.context(query), pipeline.context(query))


def test_contexts_of_this_schema_version_have_not_drifted(pipeline: Pipeline) -> None:
    """When this fails, a formula, a keyword or the weights changed: raise VERSION, then pin again."""
    query = Query(
        text="Explain how (A) 2 + 2 = 4;\n```\ndef f(): ...\n``` é?",
        turn=3,
        user_tier="free",
        prompt_chars=900,
    )
    x = pipeline.context(query)
    assert pipeline.schema_id == "text-v1/stats15/wordllama64/max4096"
    assert (x.sum(), x @ np.arange(80.0), x[16:] @ np.arange(64.0)) == pytest.approx(PINNED, abs=1e-4)


def test_texts_are_cut_before_anything_is_read_from_them(plain_pipeline: Pipeline) -> None:
    start = "Why is this so? " * 20
    one, other = (Query(text=start + end, prompt_chars=5_000) for end in ("A) 1 + 1\n", "ZZZ 99 {};"))
    np.testing.assert_array_equal(plain_pipeline.context(one), plain_pipeline.context(other))


def test_an_embedded_text_is_cut_too() -> None:
    pipeline = build_pipeline(max_chars=64)
    one, other = (Query(text="x" * 64 + end, prompt_chars=100) for end in ("physics", "poetry"))
    np.testing.assert_array_equal(pipeline.context(one), pipeline.context(other))


def test_text_before_the_bound_counts(plain_pipeline: Pipeline) -> None:
    one, other = (Query(text="x" * 199 + end, prompt_chars=500) for end in ("?", "y"))
    assert not np.array_equal(plain_pipeline.context(one), plain_pipeline.context(other))


def test_the_length_of_the_prompt_is_not_cut(plain_pipeline: Pipeline) -> None:
    shorter, longer = (query_from_text("x" * n) for n in (1_000, 2_000))
    assert plain_pipeline.context(shorter)[1] < plain_pipeline.context(longer)[1]


def test_only_the_first_1024_characters_are_embedded(pipeline: Pipeline) -> None:
    start = ("tell me about the sea " * 50)[:1024]
    one, other = (pipeline.context(query_from_text(start + end)) for end in (" A) poetry?", ""))
    np.testing.assert_array_equal(one[1 + STATISTICS :], other[1 + STATISTICS :])
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("a\0b", "NUL"), ("a\ud83d", "surrogate"), ("x" * 300 + "\udc00", "surrogate")],
)
def test_unusable_text_is_refused_as_the_query(text: str, problem: str, plain_pipeline: Pipeline) -> None:
    with pytest.raises(InvalidInput, match=problem) as caught:
        plain_pipeline.context(Query(text=text))
    assert caught.value.field == "query"


def test_a_query_without_text_has_its_statistics_and_no_embedding(pipeline: Pipeline) -> None:
    query = Query(text="", turn=3, prompt_chars=900)
    x = pipeline.context(query)
    np.testing.assert_array_equal(x[1 : 1 + STATISTICS], text_statistics(query))
    assert not x[1 + STATISTICS :].any()


# -- settings and schema ids ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "dim", "schema_id"),
    [
        ({}, 80, "text-v1/stats15/wordllama64/max4096"),
        ({"embedding_dim": 128}, 144, "text-v1/stats15/wordllama128/max4096"),
        ({"embedding_dim": 256}, 272, "text-v1/stats15/wordllama256/max4096"),
        ({"max_chars": 512}, 80, "text-v1/stats15/wordllama64/max512"),
        ({"embedding": "none"}, 16, "text-v1/stats15/none/max4096"),
        ({"embedding": "none", "max_chars": 1}, 16, "text-v1/stats15/none/max1"),
        ({"embedding": "vector", "vector_dim": 32}, 33, "vector/32"),
        ({"embedding": "vector", "vector_dim": 33}, 34, "vector/33"),
    ],
)
def test_settings_that_change_contexts_change_the_schema_id(
    settings: dict[str, Any], dim: int, schema_id: str
) -> None:
    pipeline = build_pipeline(**settings)
    assert (pipeline.dim, pipeline.schema_id) == (dim, schema_id)


def test_the_embedding_dimension_is_no_part_of_a_schema_without_embedding() -> None:
    schema_ids = {build_pipeline(embedding="none", embedding_dim=dim).schema_id for dim in (64, 128)}
    assert len(schema_ids) == 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"embedding": "bert"}, r"features\.embedding: 'bert' .*wordllama, none, vector"),
        ({"embedding": ""}, r"features\.embedding: "),
        ({"embedding_dim": 65}, r"features\.embedding_dim: .*64, 128, 256"),
        ({"embedding": "none", "max_chars": 0}, r"features\.max_chars: "),
        ({"embedding": "none", "max_chars": True}, r"features\.max_chars: "),
        ({"embedding": "none", "max_chars": 10.5}, r"features\.max_chars: "),
        ({"embedding": "vector"}, r"features\.vector_dim: is None"),
        ({"embedding": "vector", "vector_dim": 0}, r"features\.vector_dim: is 0"),
    ],
)
def test_wrong_settings_are_refused_by_key(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        build_pipeline(**settings)


def test_a_vector_pipeline_asks_for_a_vector_when_given_text() -> None:
    with pytest.raises(InvalidInput, match="send a features vector of 8 numbers") as caught:
        build_vector_pipeline(8).context(query_from_text("Why?"))
    assert caught.value.field == "features"


# -- vectors that callers bring -------------------------------------------------------------------


@given(values=st.lists(st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6), min_size=3, max_size=3))
def test_a_vector_of_numbers_is_taken_as_it_is_behind_the_bias(values: list[float]) -> None:
    x = build_vector_pipeline(3).check_vector(values)
    assert x.dtype == np.float64
    assert x.tolist() == [1.0, *map(float, values)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8])
def test_arrays_of_real_numbers_are_taken(dtype: Any) -> None:
    x = build_vector_pipeline(2).check_vector(np.array([1, 2], dtype=dtype))
    assert x.dtype == np.float64
    assert x.tolist() == [1.0, 1.0, 2.0]


def test_numpy_numbers_in_a_list_are_taken() -> None:
    values: Any = [np.float32(0.5), np.int8(3)]
    assert build_vector_pipeline(2).check_vector(values).tolist() == [1.0, 0.5, 3.0]


def test_a_checked_vector_is_a_copy() -> None:
    values = np.zeros(2)
    build_vector_pipeline(2).check_vector(values)[:] = 1.0
    assert values.tolist() == [0.0, 0.0]


def test_a_text_pipeline_takes_a_vector_of_what_follows_its_bias(plain_pipeline: Pipeline) -> None:
    x = plain_pipeline.context(query_from_text("Why?"))
    np.testing.assert_array_equal(plain_pipeline.check_vector(x[1:]), x)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], np.zeros(5)])
def test_a_vector_of_another_length_is_refused_with_both_lengths(values: Sequence[float]) -> None:
    with pytest.raises(InvalidInput, match=f"features: has {len(values)} numbers; send exactly 2"):
        build_vector_pipeline(2).check_vector(values)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 1.01e6, -1.01e6, 10**7, np.longdouble("1e400")]
)
def test_numbers_that_could_overflow_are_refused_by_position(value: float) -> None:
    with pytest.raises(InvalidInput, match="is out of range") as caught:
        build_vector_pipeline(3).check_vector([0.0, value, 0.0])
    assert caught.value.field == "features[1]"


def test_an_integer_beyond_any_float_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is out of range"):
        build_vector_pipeline(2).check_vector([0.0, 10**400])


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, [1.0]])
def test_entries_that_are_no_numbers_are_refused_by_position(value: Any) -> None:
    with pytest.raises(InvalidInput, match="not a number") as caught:
        build_vector_pipeline(2).check_vector([0.0, value], field="x")
    assert caught.value.field == "x[1]"


@pytest.mark.parametrize(
    "values",
    [
        "12",
        b"12",
        None,
        {1.0, 2.0},
        {0: 1.0, 1: 2.0},
        np.float64(1.0),
        np.array(1.0),
        np.zeros((1, 2)),
        np.array([True, False]),
        np.array(["1", "2"]),
        np.array([1.0, None]),
        np.array([1j, 2j]),
    ],
)
def test_what_is_no_vector_of_real_numbers_is_refused(values: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        build_vector_pipeline(2).check_vector(values)
    assert caught.value.field == "features"


@pytest.mark.parametrize("value", [1.5, -1.5, 1e6])
def test_a_text_pipeline_refuses_what_it_could_not_have_made(plain_pipeline: Pipeline, value: float) -> None:
    values = [0.0] * (plain_pipeline.dim - 1)
    with pytest.raises(InvalidInput, match=r"features\[3\]: is out of range; send finite numbers within ±1"):
        plain_pipeline.check_vector([*values[:3], value, *values[4:]])
