"""What every test shares: the databases, and property tests that try the same examples every time."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait for each other on a busy machine

_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))  # no test waits for a disk at every commit

gc.disable()  # while tests are imported and collected: nothing of them is garbage

import pytest
from hypothesis import settings

from tests.certificates import share_certificates
from tests.compiled_statements import share_compiled_statements

pytest.register_assert_rewrite(
    "tests.contracts", "tests.gateway.comparison", "tests.store.truth", "tests.store.spending_log"
)
pytest_plugins = ("tests.databases",)

SLOW_FILES = (
    "test_code_blocks.py",
    "test_campaign.py",
    "test_gateway_campaign.py",
    "test_pages.py",
    "test_drift.py",
    "test_conversations.py",
    "test_learners.py",
    "test_gaussian_argmax.py",
    "test_scripts.py",
    "test_key_budgets.py",
    "test_secrets.py",
    "test_pacing_ledger.py",
    "test_policies.py",
    "test_logs_database.py",
    "test_fold_races.py",
)
"""These begin first: a process runs a file to its end, and nobody should wait for one at the end of all."""

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is heard, as in a program; a process that runs tests for others ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def fixed_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """New routers have the same secret, and users and conversations the same branches of a rollout."""
    monkeypatch.setattr("bandit_router.store.store.make_user_secret", lambda: "5" * 64)


def pytest_configure() -> None:
    share_certificates()
    share_compiled_statements()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of slow files first."""
    items.sort(key=lambda item: item.path.name not in SLOW_FILES)


def pytest_collection_finish() -> None:
    """Begin to collect garbage, but exempt tests and modules, which would be gone through each time."""
    gc.freeze()
    gc.enable()
