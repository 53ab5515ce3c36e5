"""The store's contract on each database, and what only one of them does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.store import CONTRACT
from tests.store.examples import OpenStore


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_the_store_keeps_its_contract(check: Callable[[OpenStore], None], open_store: OpenStore) -> None:
    check(open_store)
