"""A block of logged decisions as arrays, alone or beside the PMF of a target policy."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.types import NO_SIGNALS, NO_TASK, OTHER_TASKS, BoolArray, FloatArray, IntArray, Signals

OUTCOMES = ("reward", "quality", "cost_usd")
"""The outcomes that are estimated, always together and in this order; M = 3 is their number."""

REWARD = OUTCOMES.index("reward")
"""The column of the reward."""

_PMF_TOLERANCE = 1e-6
_LARGEST_FEATURE = 1e100  # so that no product of two features overflows


@dataclass(frozen=True, kw_only=True)
class Block:
    """n logged decisions over the K arms of the whole log, with contexts of dimension d.

    Every block of one log has the same ``arms`` in the same order and the same d::

        arms               the K names
        x                  (n, d) contexts
        eligible           (n, K) which arms could be chosen
        logged             (n, K) PMF of the behaviour policy; 0 where not eligible
        action             (n,) index of the arm chosen
        propensity         (n,) probability of the action as it was logged, in (0, 1]
        outcomes           (n, M) in the order of OUTCOMES; NaN where there is no feedback
        fold               (n,) cross-fitting fold, from :func:`~bandit_router.evaluation.splits.assign_folds`
        order              (n,) rank of the decision in the log by time, from 0
        expected_cost_usd  (n, K) expected cost of each arm at the decision; 0 where not eligible
        cost_weight        (n,) λ of the decision, 1/USD
        decided_at         (n,) Unix time, seconds
        signals            the signals of each query; empty when no query has any
        list_cost_usd      (n,) cost of the arm chosen by its list prices, NaN where unknown; empty when it is
                           unknown everywhere
        reward_weight      (n,) weight in [0, 1] that a reward was accepted with; empty when each weighs 1
        task               (n,) number of each query's task, NO_TASK where it has none; empty when none has

    ``propensity`` may contradict ``logged`` at the action: such a log can be read, and the diagnostics
    refuse it. Raises InvalidInput, which names the field and the first bad row.
    """

    arms: tuple[str, ...]
    x: FloatArray
    eligible: BoolArray
    logged: FloatArray
    action: IntArray
    propensity: FloatArray
    outcomes: FloatArray
    fold: IntArray
    order: IntArray
    expected_cost_usd: FloatArray
    cost_weight: FloatArray
    decided_at: FloatArray
    signals: tuple[Signals, ...] = ()
    list_cost_usd: FloatArray | tuple[()] = ()
    reward_weight: FloatArray | tuple[()] = ()
    task: IntArray | tuple[()] = ()

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
        if not isinstance(self.reward_weight, tuple):
            _require_shape("reward_weight", self.reward_weight, (n,))
            weighs = (self.reward_weight >= 0) & (self.reward_weight <= 1)
            _require("reward_weight", weighs, "is not in [0, 1]", "give 1 for a reward that is not capped")
        _require("outcomes", ~np.isinf(self.outcomes), "is infinite", "give NaN where feedback is missing")
        tasks = self.tasks()
        _require(
            "task", (tasks >= NO_TASK) & (tasks <= OTHER_TASKS), "is no number of a task", "export again"
        )
        self._require_pmf("logged")

    def _require_shapes(self, n: int, k: int) -> None:
        if self.x.ndim != 2:
            raise InvalidInput("x", f"has shape {self.x.shape}", f"give ({n}, d)")
        per_decision = ("action", "propensity", "fold", "order", "cost_weight", "decided_at")
        shapes = {
            **dict.fromkeys(per_decision, (n,)),
            **dict.fromkeys(("eligible", "logged", "expected_cost_usd"), (n, k)),
            "outcomes": (n, len(OUTCOMES)),
            "x": (n, self.x.shape[1]),
        }
        for name, shape in shapes.items():
            _require_shape(name, getattr(self, name), shape)
        if self.eligible.dtype != np.bool_:
            raise InvalidInput("eligible", f"has dtype {self.eligible.dtype}", "give booleans")

    def _require_pmf(self, name: str) -> None:
        pmf: FloatArray = getattr(self, name)
        _require(name, (pmf >= 0) & (pmf <= 1 + _PMF_TOLERANCE), "is not in [0, 1]", "give probabilities")
        _require(name, (pmf == 0) | self.eligible, "is above 0 where not eligible", "mask it first")
        sums = np.abs(pmf.sum(axis=1) - 1.0) <= _PMF_TOLERANCE
        _require(name, sums, "does not sum to 1", "give a whole PMF")

    def __len__(self) -> int:
        return int(self.action.size)

    def signals_at(self, row: int) -> Signals:
        """The signals of one query."""
        return self.signals[row] if self.signals else NO_SIGNALS

    def task_at(self, row: int) -> int:
        """The number of one query's task; NO_TASK where it has none."""
        return NO_TASK if isinstance(self.task, tuple) else int(self.task[row])

    def list_costs(self) -> FloatArray:
        """``list_cost_usd`` (n,), all NaN when it is empty."""
        costs = self.list_cost_usd
        return np.full(len(self), np.nan) if isinstance(costs, tuple) else costs

    def reward_weights(self) -> FloatArray:
        """``reward_weight`` (n,), all 1 when it is empty."""
        weights = self.reward_weight
        return np.ones(len(self)) if isinstance(weights, tuple) else weights

    def outcome_weights(self) -> FloatArray:
        """The weight of every outcome (n, M): that of a reward, 1 of others, 0 where missing."""
        weights = (~np.isnan(self.outcomes)).astype(np.float64)
        weights[:, REWARD] *= self.reward_weights()
        return weights

    def tasks(self) -> IntArray:
        """``task`` (n,), all NO_TASK when it is empty."""
        return np.full(len(self), NO_TASK) if isinstance(self.task, tuple) else self.task

    def take(self, rows: IntArray) -> Self:
        """The given rows, in the order given."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {name: array[rows] for name, array in values.items() if isinstance(array, np.ndarray)}
        signals = tuple(self.signals[i] for i in rows) if self.signals else ()
        return replace(self, **{**values, **arrays, "signals": signals})

    def with_target(self, pmf: FloatArray) -> TargetBlock:
        """The same decisions beside a target policy, pmf (n, K), in place of any other."""
        logged = {f.name: getattr(self, f.name) for f in fields(Block)}
        return TargetBlock(**logged, target=np.asarray(pmf))


@dataclass(frozen=True, kw_only=True)
class TargetBlock(Block):
    """A block with ``target`` (n, K), the PMF of one target policy at its decisions; 0 where not eligible."""

    target: FloatArray

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_shape("target", self.target, self.logged.shape)
        self._require_pmf("target")


class BlockSource(Protocol):
    """A picklable piece of a log, so that it can be read on whichever process does the work."""

    def read(self) -> Block: ...


def _require(name: str, valid: BoolArray, problem: str, fix: str) -> None:
    if not valid.all():
        row = int(np.argwhere(~valid)[0, 0])
        raise InvalidInput(name, f"{problem} in row {row}", fix)


def _require_shape(name: str, values: FloatArray, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise InvalidInput(name, f"has shape {values.shape}", f"give {shape}")
