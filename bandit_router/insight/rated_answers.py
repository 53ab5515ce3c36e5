"""The answers in a log that people and a judge have rated."""

from __future__ import annotations

from bandit_router.insight.agreement import RatedAnswer
from bandit_router.store.store import Store
from bandit_router.types import JUDGED


def read_rated_answers(store: Store, metric: str) -> list[RatedAnswer]:
    """Every answer that has both ``judged`` and the metric, which people give; reads all feedback once."""
    with store.read_log() as log:
        return [
            RatedAnswer(observation.arm, observation.metrics[metric], observation.metrics[JUDGED])
            for page in log.observations()
            for observation in page
            if metric in observation.metrics and JUDGED in observation.metrics
        ]
