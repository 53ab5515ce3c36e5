"""What every test shares: the databases, and property tests that try the same examples every time."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait for each other on a busy machine

import pytest
from hypothesis import settings

pytest.register_assert_rewrite(
    "tests.contracts", "tests.gateway.comparison", "tests.store.truth", "tests.store.spending_log"
)
pytest_plugins = ("tests.databases",)

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")
