"""The answers in a log that people have rated, and a judge or the gateway."""

from __future__ import annotations

from bandit_router.insight.agreement import RatedAnswer
from bandit_router.objective.reward import orient_metric
from bandit_router.store.store import Store
from bandit_router.types import JUDGED


def read_rated_answers(store: Store, metric: str, of: str = JUDGED) -> list[RatedAnswer]:
    """Every answer that has both the metric, which people give, and ``of``; reads all feedback once.

    Where less of ``of`` is better it counts as 1 − value.
    """
    with store.read_log() as log:
        return [
            RatedAnswer(observation.arm, metrics[metric], orient_metric(of, metrics[of]))
            for page in log.observations()
            for observation in page
            if {metric, of} <= (metrics := observation.metrics).keys()
        ]
