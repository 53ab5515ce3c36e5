"""What the durability tests share: a small router's settings, and what its callers were told."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bandit_router.errors import StoreError
from bandit_router.types import Decision
from tests.services import write_settings

ARMS = ("large", "medium", "small")
DIM = 4
PATIENCE_S = 120.0
"""How long a test waits for what must happen before it calls it missing."""


def write_config(
    folder: Path,
    url: str,
    *,
    interval_s: float = 0.05,
    queue_size: int = 10_000,
    budget: Mapping[str, float] = MappingProxyType({}),
    **store: float,
) -> Path:
    """A router.toml whose router takes contexts of DIM numbers and starts quickly; [store] has ``store``."""
    return write_settings(
        folder,
        arms=tuple({"name": arm, "input_usd_per_mtok": 0.0, "output_usd_per_mtok": 1.0} for arm in ARMS),
        store={"url": url, "queue_size": queue_size, "lock_timeout_s": 30.0, **store},
        features={"embedding": "vector", "vector_dim": DIM},
        learner={"interval_s": interval_s},
        posterior={"on_drift": "alarm"},  # revised rewards are up by 0.5: drift, and arms would be reset
        budget=budget,
    )


def context(rng: random.Random) -> list[float]:
    """A context with its bias."""
    return [1.0, *(rng.uniform(-1.0, 1.0) for _ in range(DIM - 1))]


def quality(decision_id: str, stage: int) -> float | None:
    """What is said of a decision, in order: nothing, a first value, a revision that differs from it."""
    if stage == 0:
        return None
    return zlib.crc32(decision_id.encode()) % 500 / 1000 + 0.5 * (stage - 1)


def plain(decision: Decision) -> dict[str, Any]:
    """A decision as JSON would give it back."""
    fields = asdict(decision) | {"x": decision.x.tolist()}
    content: dict[str, Any] = json.loads(json.dumps(fields))
    return content


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until ``holds()``; fail when it does not within PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.02)


# -- what callers were told -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What callers were told, read back: decisions by id, the stage of feedback of each, refusals."""

    decisions: dict[str, dict[str, Any]]
    stages: dict[str, int]
    refusals: int


class Acknowledgements:
    """A file that outlives a killed process: one line for every answer, written after it was given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, kind: str, *content: Any) -> None:
        os.write(self._descriptor, json.dumps([kind, *content]).encode() + b"\n")

    def count(self) -> int:
        """How many lines there are."""
        return self.path.read_bytes().count(b"\n")

    def wait_for(self, more: int, *, refused: bool = False) -> None:
        """Wait until callers were given that many more answers, or were refused that many more times."""
        what = "callers were refused" if refused else "callers were answered"
        target = self._answers(refused) + more
        eventually(lambda: self._answers(refused) >= target, what)

    def _answers(self, refused: bool) -> int:
        refusals = self.path.read_bytes().count(b'["refused"')
        return refusals if refused else self.count() - refusals

    def read(self) -> Told:
        decisions, stages, refusals = {}, {}, 0
        for line in self.path.read_bytes().split(b"\n")[:-1]:
            kind, *content = json.loads(line)
            if kind == "decision":
                decisions[content[0]["id"]] = content[0]
            elif kind == "feedback":
                stages[content[0]] = content[1]
            else:
                refusals += 1
        return Told(decisions, stages, refusals)

    def close(self) -> None:
        os.close(self._descriptor)


Route = Callable[[list[float]], dict[str, Any]]
Say = Callable[[str, float | None], object]


def converse(route: Route, say: Say, told: Acknowledgements, seed: int, stop: threading.Event) -> None:
    """One caller: routes, says how it went, sometimes revises; notes each answer it was given.

    A StoreError is an answer, too. Whatever else is raised ends the conversation.
    """
    rng = random.Random(seed)
    ids: list[str] = []
    while not stop.is_set():
        try:
            decision = route(context(rng))
            told.note("decision", decision)
            ids.append(decision["id"])
            say(ids[-1], quality(ids[-1], 1))
            told.note("feedback", ids[-1], 1)
            if rng.random() < 0.2:
                revised = ids.pop(rng.randrange(len(ids)))
                say(revised, quality(revised, 2))
                told.note("feedback", revised, 2)
        except StoreError as error:
            told.note("refused", str(error))
