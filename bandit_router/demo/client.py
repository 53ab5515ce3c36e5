"""A client process of the demo: routes queries over HTTP and sends recorded outcomes as feedback.

Feedback is as untidy as in production: a third of it is sent late and in another order, some of it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any

import numpy as np

_LATE_SHARE = 0.3
_DUPLICATED_SHARE = 0.15
_SEND_LATE_EVERY = 100  # queries


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedQuery:
    """A query with the recorded quality and cost of every model."""

    index: int
    query: str
    quality: dict[str, float]
    cost_usd: dict[str, float]


def route_and_send_feedback(
    url: str, queries: list[RecordedQuery], seed: int, choices: Queue[tuple[int, str]]
) -> None:
    """Route every query, put (index, arm) on ``choices``, and send all feedback before returning."""
    import httpx

    rng = np.random.default_rng(seed)
    late: list[dict[str, Any]] = []
    with httpx.Client(base_url=url, timeout=30.0) as client:
        for step, recorded in enumerate(queries):
            decision = _post(client, "/v1/route", {"query": recorded.query})
            arm = decision["arm"]
            metrics = {"quality": recorded.quality[arm], "cost_usd": recorded.cost_usd[arm]}
            feedback = {"decision_id": decision["decision_id"], "metrics": metrics}
            if rng.random() < _LATE_SHARE:
                late.append(feedback)
            else:
                _send_feedback(client, feedback, rng)
            if step % _SEND_LATE_EVERY == _SEND_LATE_EVERY - 1:
                _send_late_feedback(client, late, len(late) // 2, rng)
            choices.put((recorded.index, arm))
        _send_late_feedback(client, late, len(late), rng)


def _send_late_feedback(
    client: Any, late: list[dict[str, Any]], count: int, rng: np.random.Generator
) -> None:
    """Send ``count`` of the late feedback, in a random order."""
    rng.shuffle(late)
    for _ in range(count):
        _send_feedback(client, late.pop(), rng)


def _send_feedback(client: Any, feedback: dict[str, Any], rng: np.random.Generator) -> None:
    """Send it once, or twice as a retrying client would."""
    for _ in range(2 if rng.random() < _DUPLICATED_SHARE else 1):
        _post(client, "/v1/feedback", feedback)


def _post(client: Any, path: str, body: dict[str, Any]) -> Any:
    response = client.post(path, json=body)
    response.raise_for_status()
    return response.json()
