"""How the decisions of a log are split: cross-fitting folds, and stages of time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from bandit_router.types import IntArray

FOLDS = 5
"""Cross-fitting folds. Four fifths of the log train the model of the last fifth."""

_STAGE_START = 10.0
_STAGE_GROWTH = 1.25
STAGES = 1 + int(np.log1p(2.0**63 / _STAGE_START) / np.log(_STAGE_GROWTH))
"""The most stages any log can have; see :func:`assign_stages`."""


def assign_folds(decision_ids: Iterable[str]) -> IntArray:
    """The fold of each decision, 0 to FOLDS − 1: the CRC-32 of its id, modulo FOLDS.

    The id alone decides, so folds do not depend on how the log is split or sorted.
    """
    return np.fromiter(map(zlib.crc32, map(str.encode, decision_ids)), dtype=np.int64) % FOLDS


def assign_stages(order: IntArray) -> IntArray:
    """The stage of each decision by its rank in time: ⌊log(1 + order/10) / log 1.25⌋, 0 to STAGES − 1.

    A stage is a run of decisions about a quarter longer than the one before, so that a thousand make 21
    stages and ten million make 62. A sequential estimator lets every stage use only the stages before it.
    """
    stages: IntArray = np.floor(np.log1p(order / _STAGE_START) / np.log(_STAGE_GROWTH)).astype(np.int64)
    return stages
