"""What the durability tests share: a small router's settings, and what its callers were told."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
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
    """What callers asked and were told, read back.

    Decisions by id, the stage of feedback of each, the context of every idempotency key and the decisions
    that it was answered with, refusals; and the figures that were measured meanwhile.
    """

    decisions: dict[str, dict[str, Any]]
    stages: dict[str, int]
    asked: dict[str, list[float]]
    answered: dict[str, set[str]]
    refusals: int
    figures: list[str] = field(default_factory=list)

    def unanswered(self) -> dict[str, list[float]]:
        """The contexts of the keys that got no answer: what was asked may or may not have been done."""
        return {key: x for key, x in self.asked.items() if key not in self.answered}


class Acknowledgements:
    """A file that outlives a killed process: a line for every answer, written after it was given.

    A line for every request with a key as well, written before it is sent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, kind: str, *content: Any) -> None:
        os.write(self._descriptor, json.dumps([kind, *content]).encode() + b"\n")

    def wait_for(self, more: int, *, refused: bool = False) -> None:
        """Wait until callers were given that many more answers, or were refused that many more times."""
        kinds = ("refused",) if refused else ("decision", "feedback")
        target = self._count(*kinds) + more
        eventually(lambda: self._count(*kinds) >= target, f"{more} more answers: {' or '.join(kinds)}")

    def count(self) -> int:
        """How many answers there are."""
        return self._count("decision", "feedback")

    def _count(self, *kinds: str) -> int:
        content = self.path.read_bytes()
        return sum(content.count(f'["{kind}"'.encode()) for kind in kinds)

    def read(self) -> Told:
        told = Told({}, {}, {}, {}, self._count("refused"))
        for line in self.path.read_bytes().split(b"\n")[:-1]:
            kind, *content = json.loads(line)
            if kind == "decision":
                decision, *keys = content
                told.decisions[decision["id"]] = decision
                for key in keys:
                    told.answered.setdefault(key, set()).add(decision["id"])
            elif kind == "feedback":
                told.stages[content[0]] = content[1]
            elif kind == "asked":
                told.asked[content[0]] = content[1]
            elif kind == "figure":
                told.figures.append(content[0])
        return told

    def close(self) -> None:
        os.close(self._descriptor)


class ConnectionLost(StoreError):
    """The service hung up before it answered."""


class _Stopped(Exception):
    """The conversation is over."""


Route = Callable[[list[float], str], dict[str, Any]]
"""Routes a context with an idempotency key."""

Say = Callable[[str, float | None], object]


def converse(route: Route, say: Say, told: Acknowledgements, seed: int, stop: threading.Event) -> None:
    """One caller: routes, says how it went, sometimes revises; notes each answer it was given.

    A StoreError is an answer, too, and has it ask again. Whatever else is raised ends the conversation.
    """
    rng = random.Random(seed)
    ids: list[str] = []

    def insist(call: Callable[..., Any], *arguments: Any) -> Any:
        while not stop.is_set():
            try:
                return call(*arguments)
            except StoreError as error:
                told.note("dropped" if isinstance(error, ConnectionLost) else "refused", str(error))
        raise _Stopped

    with suppress(_Stopped):
        while True:
            x, key = context(rng), f"{seed}-{rng.getrandbits(64):x}"
            told.note("asked", key, x)
            decision = insist(route, x, key)
            told.note("decision", decision, key)
            ids.append(decision["id"])
            insist(say, ids[-1], quality(ids[-1], 1))
            told.note("feedback", ids[-1], 1)
            if rng.random() < 0.2:
                revised = ids.pop(rng.randrange(len(ids)))
                insist(say, revised, quality(revised, 2))
                told.note("feedback", revised, 2)
