from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wordllama
from hypothesis import assume, given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError
from bandit_router.features import Embedder, load_wordllama
from tests.features.conftest import TEXTS

DIMS = (64, 128, 256)
TOPICS = (
    (
        "Write a Python function that sorts a list.",
        "Implement quicksort in Java.",
        "Why does my loop raise an index error?",
        "Refactor this class to use async functions.",
    ),
    (
        "What is the capital of France?",
        "Which city is the capital of Spain?",
        "Name the largest country in Africa.",
        "Which river flows through Vienna?",
    ),
    (
        "Solve the equation 3x + 4 = 10.",
        "Find x when 2x - 7 = 1.",
        "Compute the integral of x^2 from 0 to 1.",
        "What is the probability of two heads in three coin flips?",
    ),
)


def reference(dim: int) -> Any:
    """The oracle: WordLlama's own API."""
    return wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, dim=256, trunc_dim=dim, disable_download=True
    )


@pytest.fixture(scope="session")
def model() -> Any:
    return reference(64)


@given(text=TEXTS)
def test_embeddings_are_wordllamas_mean_of_rows_at_unit_length(
    text: str, embed: Embedder, model: Any
) -> None:
    mean = model.embed(" ".join(text.split()), norm=False)[0].astype(np.float64)
    assume(mean.any())
    np.testing.assert_allclose(embed(text), mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("dim", DIMS)
def test_each_dimension_is_wordllamas_own(dim: int) -> None:
    text = "Why is the sky blue?\n\n    It scatters  light. 日本語 🙂"
    mean = reference(dim).embed(" ".join(text.split()), norm=False)[0].astype(np.float64)
    vector = load_wordllama(dim)(text)
    assert vector.shape == (dim,)
    assert vector.dtype == np.float64
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


@given(text=TEXTS)
def test_embeddings_of_any_text_have_unit_length(text: str, embed: Embedder) -> None:
    assert np.linalg.norm(embed(text)) == pytest.approx(1.0 if text.split() else 0.0)


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_text_without_words_is_the_zero_vector(text: str, embed: Embedder) -> None:
    np.testing.assert_array_equal(embed(text), np.zeros(64))


def test_a_text_embeds_alike_whether_its_words_are_remembered_or_not(embed: Embedder) -> None:
    text = "Words like syzygy are remembered from one text to the next."
    first = embed(text)
    np.testing.assert_array_equal(embed(text), first)


@pytest.mark.parametrize("text", ["</s>", "<unk>"])
def test_special_texts_are_finite(text: str, embed: Embedder) -> None:
    assert np.all(np.isfinite(embed(text)))


def test_the_same_text_gives_the_same_bits_from_another_load(embed: Embedder) -> None:
    text = "Compare merge sort with quicksort."
    np.testing.assert_array_equal(embed(text), load_wordllama(64)(text))


def test_threads_get_what_one_thread_gets(embed: Embedder) -> None:
    texts = [f"Question {i}: what is {i} times {i + 1}?" for i in range(400)]
    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(embed, texts))
    np.testing.assert_array_equal(vectors, [embed(text) for text in texts])


def test_texts_of_one_topic_are_closer_on_average_than_texts_of_two(embed: Embedder) -> None:
    """On average only: with no word in common, two texts of one topic may well be further apart."""
    vectors = np.array([embed(text) for topic in TOPICS for text in topic])
    cosine = vectors @ vectors.T
    topic = np.repeat(np.arange(len(TOPICS)), [len(texts) for texts in TOPICS])
    same = topic[:, None] == topic
    pairs = ~np.eye(len(vectors), dtype=bool)
    assert cosine[same & pairs].mean() > cosine[~same].mean() + 0.1


@given(dim=st.integers(-10, 1024).filter(lambda dim: dim not in DIMS))
def test_other_dimensions_are_refused(dim: int) -> None:
    with pytest.raises(ConfigError, match=r"features\.embedding_dim: .* allowed: 64, 128, 256"):
        load_wordllama(dim)


def test_a_missing_package_is_a_config_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(ConfigError, match=r"features\.embedding: .*pip install wordllama"):
        load_wordllama(64)


def test_missing_files_are_a_config_error_and_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(wordllama, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ConfigError, match=r"features\.embedding: .*not found"):
        load_wordllama(64)
    assert list(tmp_path.iterdir()) == []
