"""The queries of a data set, with a progress bar: embedding them takes a while."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bandit_router.cli.output import progress_bar
from bandit_router.features import read_query
from bandit_router.types import Query

if TYPE_CHECKING:
    from bandit_router.evaluation.datasets import Dataset


def read_queries(dataset: Dataset, *, quiet: bool) -> Iterator[Query]:
    """Every query of the data set in order; the bar advances as the caller asks for the next."""
    with progress_bar("reading queries", len(dataset.queries), quiet=quiet) as step:
        for text in dataset.queries:
            yield read_query(text)
            step(1)
