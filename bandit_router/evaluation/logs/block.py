"""A block: some rows of the decision log, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from bandit_router.evaluation.partition import BoolArray, IntArray, Partition
from bandit_router.types import NO_SIGNALS, FloatArray, Signals


@dataclass(frozen=True, kw_only=True)
class Block:
    """n logged rows over the K arms of the whole log, in order of time, with contexts of dimension d.

    Everything a :class:`Partition` has but the target policy (see there for the shared fields), and what it
    takes to score one::

        expected_cost_usd  (n, K) what each arm was expected to cost when the choice was made; 0 where not
                           eligible
        cost_weight        (n,) λ of the decision, 1/USD
        decided_at         (n,) Unix time, seconds
        signals            what was known of each query besides x; nothing where there are none
        list_cost_usd      (n,) what the arm chosen costs by its prices alone, NaN where that is not known;
                           nothing where it is known of no row
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

    def __len__(self) -> int:
        return int(self.action.size)

    def signals_of(self, row: int) -> Signals:
        """What was known of one query besides its context."""
        return self.signals[row] if self.signals else NO_SIGNALS

    def listed(self) -> FloatArray:
        """``list_cost_usd``, whether there is any or not."""
        found = self.list_cost_usd
        return np.full(len(self), np.nan) if isinstance(found, tuple) else found

    def partition(self, target: FloatArray) -> Partition:
        """The rows beside a target policy's PMF (n, K). Raises InvalidInput when a row is wrong."""
        shared = {f.name: getattr(self, f.name) for f in fields(Partition) if f.name != "target"}
        return Partition(**shared, target=np.asarray(target))


class BlockSource(Protocol):
    """A piece of a log; picklable, so that it can be read wherever the work is done."""

    def read(self) -> Block: ...
