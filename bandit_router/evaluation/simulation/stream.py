"""A stream: queries in order of arrival, with the outcome of every arm on each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.task_numbers import number_tasks
from bandit_router.types import NO_SIGNALS, NO_TASK, BoolArray, FloatArray, IntArray, Signals


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """n queries over K arms with contexts of dimension d.

    ``x``                  (n, d) contexts
    ``quality``            (n, K) in [0, 1], the quality of each arm's answer
    ``cost_usd``           (n, K) the cost of each arm's call
    ``expected_cost_usd``  (n, K) the list cost, known before the call
    ``eligible``           (n, K) whether each arm exists
    ``signals``            the signals of each query; empty if there are none
    ``latency_s``          (n, K) the latency of each arm's call, NaN if unknown; None if all are
    ``task``               (n,) the number of each query's task, NO_TASK where unknown; None if all are
    """

    name: str
    arms: tuple[str, ...]
    x: FloatArray
    quality: FloatArray
    cost_usd: FloatArray
    expected_cost_usd: FloatArray
    eligible: BoolArray
    signals: tuple[Signals, ...] = ()
    latency_s: FloatArray | None = None
    task: IntArray | None = None

    def __post_init__(self) -> None:
        if not len(self.x):
            raise InvalidInput("stream", "has no queries", "give a dataset with some")
        if not self.eligible.any(axis=1).all():
            query = int(np.argmin(self.eligible.any(axis=1)))
            raise InvalidInput("stream", f"has no arm at query {query}", "keep one arm at all times")

    def __len__(self) -> int:
        return len(self.x)

    def index(self, arm: str) -> int:
        """The column of an arm. Raises InvalidInput, which lists the arms."""
        if arm not in self.arms:
            raise InvalidInput("arm", f"{arm!r} is not in the data", f"use one of {', '.join(self.arms)}")
        return self.arms.index(arm)

    def take(self, rows: IntArray) -> Stream:
        """The queries of these rows, in the order of ``rows``."""
        names = ("x", "quality", "cost_usd", "expected_cost_usd", "eligible")
        signals = tuple(self.signals[i] for i in rows) if self.signals else ()
        latency = None if self.latency_s is None else self.latency_s[rows]
        arrays = {name: getattr(self, name)[rows] for name in names}
        task = None if self.task is None else self.task[rows]
        return replace(self, signals=signals, latency_s=latency, task=task, **arrays)

    def signals_at(self, query: int) -> Signals:
        """The signals of one query."""
        return self.signals[query] if self.signals else NO_SIGNALS

    def task_at(self, query: int) -> int:
        """The number of one query's task; NO_TASK where it has none."""
        return NO_TASK if self.task is None else int(self.task[query])

    def latency_of(self, query: int, arm: int) -> float | None:
        """The latency of an arm's call in seconds; None if unknown."""
        latency = math.nan if self.latency_s is None else float(self.latency_s[query, arm])
        return None if math.isnan(latency) else latency


def make_stream(
    dataset: Dataset, contexts: Sequence[FloatArray] | FloatArray, signals: Sequence[Signals] = ()
) -> Stream:
    """The dataset as a stream, in its own order, with contexts x (n, d) and signals, if any.

    An arm without a result is not eligible there. The list cost of an arm is its mean cost, as its owner
    would read it off last month's bill.
    """
    x = np.asarray(contexts)
    if len(x) != len(dataset.queries):
        raise InvalidInput("x", f"has {len(x)} rows", f"give one for each of {len(dataset.queries)} queries")
    answered = ~np.isnan(dataset.quality)
    mean_cost = np.where(answered, dataset.cost_usd, 0.0).sum(axis=0) / np.maximum(answered.sum(axis=0), 1)
    return Stream(
        name=dataset.name,
        arms=dataset.models,
        x=x,
        quality=np.where(answered, dataset.quality, 0.0),
        cost_usd=np.where(answered, dataset.cost_usd, 0.0),
        expected_cost_usd=np.broadcast_to(mean_cost, answered.shape),
        eligible=answered,
        task=None if dataset.tasks is None else number_tasks(dataset.tasks).numbers,
        signals=tuple(signals),
        latency_s=dataset.latency_s,
    )


def with_latencies(
    stream: Stream, medians_s: Sequence[float], sigmas: Sequence[float], rng: np.random.Generator
) -> Stream:
    """The stream with simulated latencies: log-normal by arm, independent of the query.

    The logarithm of the latency of arm k is normal with mean log(medians_s[k]) and standard deviation
    sigmas[k].
    """
    normal = rng.standard_normal(stream.quality.shape)
    return replace(stream, latency_s=np.asarray(medians_s) * np.exp(np.asarray(sigmas) * normal))
