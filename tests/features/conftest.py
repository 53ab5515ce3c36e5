from __future__ import annotations

import pytest
from hypothesis import strategies as st

from bandit_router.features import Embedder, Pipeline, build_pipeline, load_wordllama

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=400)
"""Every text a pipeline accepts: no lone surrogate, no NUL, not empty."""


@pytest.fixture(scope="session")
def embed() -> Embedder:
    return load_wordllama(64)


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    return build_pipeline()


@pytest.fixture(scope="session")
def plain_pipeline() -> Pipeline:
    return build_pipeline(embedding="none", max_chars=200)
