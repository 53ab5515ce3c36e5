"""One client process of the demo: routes queries over HTTP and plays their outcomes back.

Feedback is made as untidy as in production: a third of it is held back and sent later in another
order, and some is sent twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any

import numpy as np

_HELD_BACK = 0.3
_TWICE = 0.15
_FLUSH_EVERY = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One query with what each model did on it."""

    index: int
    query: str
    quality: dict[str, float]
    cost_usd: dict[str, float]


def play(url: str, tasks: list[Task], seed: int, choices: Queue[tuple[int, str]]) -> None:
    """Route every task, report (index, arm) to ``choices``, and send all feedback before returning."""
    import httpx

    rng = np.random.default_rng(seed)
    held: list[dict[str, Any]] = []
    with httpx.Client(base_url=url, timeout=30.0) as client:
        for step, task in enumerate(tasks):
            decision = _post(client, "/v1/route", {"query": task.query})
            arm = decision["arm"]
            metrics = {"quality": task.quality[arm], "cost_usd": task.cost_usd[arm]}
            outcome = {"decision_id": decision["decision_id"], "metrics": metrics}
            if rng.random() < _HELD_BACK:
                held.append(outcome)
            else:
                _send(client, outcome, rng)
            if step % _FLUSH_EVERY == _FLUSH_EVERY - 1:
                _flush(client, held, len(held) // 2, rng)
            choices.put((task.index, arm))
        _flush(client, held, len(held), rng)


def _flush(client: Any, held: list[dict[str, Any]], count: int, rng: np.random.Generator) -> None:
    rng.shuffle(held)
    for _ in range(count):
        _send(client, held.pop(), rng)


def _send(client: Any, outcome: dict[str, Any], rng: np.random.Generator) -> None:
    for _ in range(2 if rng.random() < _TWICE else 1):
        _post(client, "/v1/feedback", outcome)


def _post(client: Any, path: str, body: dict[str, Any]) -> Any:
    response = client.post(path, json=body)
    response.raise_for_status()
    return response.json()
