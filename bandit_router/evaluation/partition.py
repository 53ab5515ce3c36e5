"""A partition: some rows of the decision log, beside what one target policy would have done there."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from bandit_router.errors import InvalidInput
from bandit_router.types import FloatArray

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

OUTCOMES = ("reward", "quality", "cost_usd")
"""What is estimated, always together and in this order; M = 3 stands for their number."""

FOLDS = 5
"""Cross-fitting folds. Four fifths of the log train the model of the last fifth."""

_STAGE_START = 10.0
_STAGE_GROWTH = 1.25
STAGES = 1 + int(np.log1p(2.0**63 / _STAGE_START) / np.log(_STAGE_GROWTH))
"""No log has more stages than this: see :func:`stages_of`."""

_PMF_TOLERANCE = 1e-6
_LARGEST_FEATURE = 1e100  # so that no product of two features overflows


@dataclass(frozen=True, kw_only=True)
class Partition:
    """n logged rows over K arms, in any order, with contexts of dimension d.

    Every partition of one log has the same ``arms`` in the same order and the same d.

    ``arms``        the K names
    ``x``           (n, d) contexts
    ``eligible``    (n, K) which arms could be chosen
    ``logged``      (n, K) PMF of the behaviour policy; 0 where not eligible
    ``action``      (n,) index of the arm chosen
    ``propensity``  (n,) probability of the action as it was logged, in (0, 1]
    ``outcomes``    (n, M) in the order of OUTCOMES; NaN where there is no feedback
    ``target``      (n, K) PMF of one target policy at the same rows; 0 where not eligible
    ``fold``        (n,) cross-fitting fold, from :func:`folds_of`
    ``order``       (n,) rank of the row in the log by time, from 0

    That ``propensity`` equals ``logged`` at the action is not required here: a log where it does not
    can be read, and the diagnostics refuse it.

    Raises InvalidInput, which names the field and the first bad row.
    """

    arms: tuple[str, ...]
    x: FloatArray
    eligible: BoolArray
    logged: FloatArray
    action: IntArray
    propensity: FloatArray
    outcomes: FloatArray
    target: FloatArray
    fold: IntArray
    order: IntArray

    def __post_init__(self) -> None:
        n, k = self.action.size, len(self.arms)
        if k == 0 or len(set(self.arms)) < k:
            raise InvalidInput("arms", "are missing or repeated", "give every arm once")
        self._require_shapes(n, k)
        for name in ("action", "fold", "order"):
            values = getattr(self, name)
            if values.dtype.kind not in "iu":
                raise InvalidInput(name, f"has dtype {values.dtype}", "give integers")
            _require(name, values >= 0, "is negative", "count from 0")
        _require("action", self.action < k, "is not one of the arms", f"give an index below {k}")
        _require("x", np.abs(self.x) <= _LARGEST_FEATURE, "is not finite", "drop the row")
        rows = np.arange(n)
        _require("action", self.eligible[rows, self.action], "was not eligible", "log what was eligible")
        inside = (self.propensity > 0) & (self.propensity <= 1)
        _require("propensity", inside, "is not in (0, 1]", "log the probability the action had")
        _require("outcomes", ~np.isinf(self.outcomes), "is infinite", "give NaN where feedback is missing")
        for name, pmf in (("logged", self.logged), ("target", self.target)):
            _require(name, (pmf >= 0) & (pmf <= 1 + _PMF_TOLERANCE), "is not in [0, 1]", "give probabilities")
            _require(name, (pmf == 0) | self.eligible, "is above 0 where not eligible", "mask it first")
            sums = np.abs(pmf.sum(axis=1) - 1.0) <= _PMF_TOLERANCE
            _require(name, sums, "does not sum to 1", "give a whole PMF")

    def _require_shapes(self, n: int, k: int) -> None:
        if self.x.ndim != 2:
            raise InvalidInput("x", f"has shape {self.x.shape}", f"give ({n}, d)")
        shapes = {
            "action": (n,), "propensity": (n,), "fold": (n,), "order": (n,),
            "eligible": (n, k), "logged": (n, k), "target": (n, k),
            "outcomes": (n, len(OUTCOMES)), "x": (n, self.x.shape[1]),
        }  # fmt: skip
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            if found != shape:
                raise InvalidInput(name, f"has shape {found}", f"give {shape}")
        if self.eligible.dtype != np.bool_:
            raise InvalidInput("eligible", f"has dtype {self.eligible.dtype}", "give booleans")

    def __len__(self) -> int:
        return int(self.action.size)

    def take(self, rows: IntArray) -> Partition:
        """Some of the rows, in the order given."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "arms"}
        return replace(self, **arrays)

    def with_target(self, pmf: FloatArray) -> Partition:
        """The same rows beside another target policy: pmf (n, K)."""
        return replace(self, target=pmf)


def folds_of(decision_ids: Iterable[str]) -> IntArray:
    """The fold of each decision, 0 to FOLDS − 1.

    It is the CRC-32 of the id, modulo FOLDS, so it does not depend on how the log is split or sorted.
    """
    return np.fromiter(map(zlib.crc32, map(str.encode, decision_ids)), dtype=np.int64) % FOLDS


def stages_of(order: IntArray) -> IntArray:
    """The stage of each row of a log: ⌊log(1 + order/10) / log 1.25⌋, 0 to STAGES − 1.

    Stages are runs of rows, each about a quarter longer than the one before, so that a thousand rows
    make 21 and ten million make 62. A sequential estimator lets every stage use only what came before.
    """
    stages: IntArray = np.floor(np.log1p(order / _STAGE_START) / np.log(_STAGE_GROWTH)).astype(np.int64)
    return stages


def _require(name: str, right: BoolArray, problem: str, fix: str) -> None:
    if not right.all():
        row = int(np.argwhere(~right)[0, 0])
        raise InvalidInput(name, f"{problem} in row {row}", fix)
