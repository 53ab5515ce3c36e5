"""Gathers evidence for a warm start: from labelled queries, from a log, or from another router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np

from bandit_router.errors import InvalidInput, StoreError
from bandit_router.evaluation.block import OUTCOMES, REWARD, Block
from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.logs.read import Log
from bandit_router.evaluation.task_numbers import number_tasks
from bandit_router.features import Pipeline, estimate_tokens, query_from_text
from bandit_router.posterior.cost import compute_cost_roots
from bandit_router.posterior.regression_sums import RegressionSums, add_sums
from bandit_router.posterior.state import decode_state, empty_costs
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.posterior.warm_start import WarmStartEvidence, evidence_from_labels
from bandit_router.store.store import Store
from bandit_router.types import Arm, FloatArray

_COST = OUTCOMES.index("cost_usd")


def evidence_from_dataset(
    dataset: Dataset, arms: Sequence[Arm], pipeline: Pipeline, names: Mapping[str, str] | None = None
) -> WarmStartEvidence:
    """Evidence of labelled queries; a model counts those it has a result of.

    ``names`` maps the dataset's models to arms. Raises InvalidInput when no model is an arm.
    """
    names = {model: (names or {}).get(model, model) for model in dataset.models}
    by_name = {arm.name: arm for arm in arms}
    columns = [k for k, model in enumerate(dataset.models) if names[model] in by_name]
    if not columns:
        ours, theirs = ", ".join(by_name), ", ".join(dataset.models)
        raise InvalidInput("arm", f"none of {theirs} is an arm", f"say which is one of {ours}")
    chosen = [by_name[names[dataset.models[k]]] for k in columns]
    queries = [query_from_text(text) for text in dataset.queries]
    tokens = [estimate_tokens(text) for text in dataset.queries]
    listed = np.array([[arm.expected_cost_usd(count) for arm in chosen] for count in tokens])
    tasks = number_tasks(dataset.tasks or [None] * len(queries))
    return evidence_from_labels(
        [arm.name for arm in chosen],
        pipeline.schema_id,
        np.array([pipeline.context(query) for query in queries]),
        dataset.quality[:, columns],
        compute_cost_roots(dataset.cost_usd[:, columns], listed),
        f"{len(queries)} labelled queries of {dataset.name}",
        tasks.numbers,
        tasks.names,
    )


def evidence_from_log(
    log: Log, prior: SufficientStatistics, names: Mapping[str, str] | None = None
) -> WarmStartEvidence:
    """Evidence of the rewards and costs in a log. Costs count only beside a list price.

    ``prior`` has the arms and priors of the log's router; ``names`` maps arms of the log to arms of the
    new router.
    """
    rewards = prior.without_evidence()
    rewards.warm = None
    costs = empty_costs(rewards)
    for block in (piece.read() for piece in log.pieces):
        _count_values(rewards, block, block.outcomes[:, REWARD], block.reward_weights())
        cost_roots = compute_cost_roots(block.outcomes[:, _COST], block.list_costs())
        _count_values(costs, block, cost_roots, np.ones(len(block)))
    source = f"the log of router {log.info['router']}"
    return _evidence_of_statistics(rewards, costs, names, source, log.tasks)


def _count_values(
    statistics: SufficientStatistics, block: Block, values: FloatArray, weights: FloatArray
) -> None:
    """Count the values (n,) that are not NaN, each with its weight for the arm that was chosen."""
    for k, arm in enumerate(block.arms):
        rows = ~np.isnan(values) & (block.action == k)
        at, tasks = block.decided_at[rows], block.tasks()[rows]
        statistics.observe_many(arm, block.x[rows], values[rows], at, weights[rows], tasks)


def evidence_from_router(url: str, router: str, names: Mapping[str, str] | None = None) -> WarmStartEvidence:
    """Evidence of a router's posterior, its own warm start included. Raises StoreError if it is unknown."""
    with closing(Store.open(url, router, create=False)) as store, store.read_log() as reader:
        head = reader.head()
        snapshot = None if head is None else reader.snapshot(head[0])
        tasks = tuple(task.name for task in reader.tasks())
    if snapshot is None:
        raise StoreError(f"there is no router {router!r} with a snapshot in this database")
    learned = decode_state(snapshot)
    source = f"what router {router} has learned"
    return _evidence_of_statistics(learned.rewards, learned.costs, names, source, tasks)


def _evidence_of_statistics(
    rewards: SufficientStatistics,
    costs: SufficientStatistics,
    names: Mapping[str, str] | None,
    source: str,
    tasks: tuple[str, ...],
) -> WarmStartEvidence:
    of_rewards, of_costs = _sums_with_warm_start(rewards), _sums_with_warm_start(costs)
    return WarmStartEvidence(
        arms=tuple((names or {}).get(arm, arm) for arm in rewards.arms),
        schema_id=rewards.schema_id,
        rewards=of_rewards,
        costs=of_costs,
        queries=float(max(of_rewards.weight.sum(), of_costs.weight.sum())),
        worth=1.0,
        source=source,
        tasks=tasks,
    )


def _sums_with_warm_start(statistics: SufficientStatistics) -> RegressionSums:
    own, warm = statistics.regression_sums, statistics.warm_sums
    return own if warm is None else add_sums(own, warm)
