"""Logs in real databases and in folders, and the same rows read one by one: the oracle of the reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from bandit_router.evaluation.block import Block
from bandit_router.evaluation.logs.read import Log
from bandit_router.evaluation.logs.write import ExportSummary, export_log
from bandit_router.objective.reward import compute_reward
from bandit_router.router import Router
from bandit_router.store.store import Store
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Arm, Decision, Feedback, Reason
from tests.router.conftest import LARGE, SMALL, settings_of

MEDIUM = {"name": "medium", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}
LATE = Arm(name="late", provider="p", model="m", input_usd_per_mtok=0.1, output_usd_per_mtok=0.2)
WEIGHTS = {"quality": 2.0, "satisfaction": 1.0}
_OWN_WAY = "arms", "signals", "list_cost_usd", "reward_weight", "task"
_ARRAYS = [f.name for f in fields(Block) if f.name not in _OWN_WAY]
POLICIES = ("thompson", "uniform", "epsilon-greedy")


def play(url: str, n: int = 60, seed: int = 0) -> list[str]:
    """Let a router decide and hear of outcomes, in every way there is; the ids of its decisions, by time."""
    rng = np.random.default_rng(seed)
    ids: list[str] = []
    for policy in POLICIES:
        with opened(url, policy, seed) as router:
            ids += [_round(router, rng, i) for i in range(n // len(POLICIES))]
            router.put_arm(LATE)
            router.learn()
    return ids


@contextmanager
def opened(url: str, policy: str = "thompson", seed: int = 0) -> Iterator[Router]:
    """The router "default" on the database, with three arms and rewards of two metrics."""
    arms = SMALL, MEDIUM, LARGE
    settings = settings_of(url, arms=arms, policy={"name": policy}, reward={"weights": WEIGHTS})
    with Router.open(settings, rng=np.random.default_rng(seed)) as router:
        yield router


def _round(router: Router, rng: np.random.Generator, i: int) -> str:
    narrowed = [None, ["small"], ["large", "small"]][int(rng.integers(3))]
    options: dict[str, Any] = {"arms": narrowed, "user_tier": ("free", "team", None)[i % 3]}
    options["task"] = ("first", "second", None, "first")[i % 4]
    made = router.route(f"Why is {i} prime? " * (1 + i % 3), cost_weight=float(i % 4), **options).id
    match i % 6:
        case 0:  # nothing is ever said
            pass
        case 1:
            router.feedback(made, quality=0.25, satisfaction=1.0, latency_s=0.5)
            router.feedback(made, quality=float(rng.random()))
        case 2:
            router.feedback(made, quality=0.75, cost_usd=0.002)
            router.feedback(made, quality=None)
        case 3:
            router.feedback(made, error=1.0, cost_usd=0.0)
        case _:
            router.feedback(made, quality=float(rng.random()), cost_usd=float(rng.random()) / 1000)
    return made


def add(url: str, like: str, **changes: Any) -> str:
    """Log one more decision like another, with changes; its id."""
    with closing(Store.open(url, "default")) as store:
        original = store.decision(like)
        values = {f.name: getattr(original, f.name) for f in fields(original)}
        changed = Decision(**(values | changes))
        (answer,) = store.write([WriteRequest(payload=changed)])
        assert isinstance(answer, Decision)
    return changed.id


def say(url: str, decision_id: str, **metrics: float | None) -> None:
    """Feedback, as it reaches the store."""
    with closing(Store.open(url, "default")) as store:
        about = Feedback(decision_id=decision_id, metrics=metrics, received_at=1.0)
        (answer,) = store.write([WriteRequest(payload=about)])
        assert isinstance(answer, dict)


def damage(url: str, column: str, value: object, decision_id: str) -> None:
    """Change one value of one decision in a SQLite file, behind everyone's back."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        changed = connection.execute(f"UPDATE decisions SET {column} = ? WHERE id = ?", (value, decision_id))
        assert changed.rowcount == 1


def export_of(url: str, folder: Path, router: str = "default", **sizes: Any) -> ExportSummary:
    """Export a database's log to the folder."""
    with closing(Store.open(url, router)) as store, store.read_log() as audit:
        return export_log(audit, folder, **sizes)


def read_all(log: Log) -> Block:
    """All pieces, one after another."""
    return joined([piece.read() for piece in log.pieces])


def joined(blocks: Sequence[Block]) -> Block:
    """The rows of all blocks in one."""
    arrays = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in _ARRAYS}
    assert len({block.arms for block in blocks}) == 1
    signals = tuple(block.signals_at(i) for block in blocks for i in range(len(block)))
    listed = np.concatenate([block.list_costs() for block in blocks])
    weights = np.concatenate([block.reward_weights() for block in blocks])
    task = np.concatenate([block.tasks() for block in blocks])
    return Block(
        arms=blocks[0].arms,
        signals=signals,
        list_cost_usd=listed,
        reward_weight=weights,
        task=task,
        **arrays,
    )


def assert_equal(ours: Block, theirs: Block) -> None:
    """Equal to the last bit, types and shapes too."""
    assert ours.arms == theirs.arms
    for name in _ARRAYS:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape), name
        np.testing.assert_array_equal(mine, other, err_msg=name)
    np.testing.assert_array_equal(ours.list_costs(), theirs.list_costs())
    np.testing.assert_array_equal(ours.outcome_weights(), theirs.outcome_weights())
    np.testing.assert_array_equal(ours.tasks(), theirs.tasks())
    assert [ours.signals_at(i) for i in range(len(ours))] == [theirs.signals_at(i) for i in range(len(ours))]


def row_by_row(url: str, ids: Sequence[str], arms: tuple[str, ...]) -> Block:
    """What the store says of the decisions, one at a time, those of reason "policy" in the order given."""
    with closing(Store.open(url, "default")) as store:
        found = [store.decision(i) for i in ids]
        decisions = [decision for decision in found if decision.reason is Reason.POLICY]
        metrics = [store.observation(decision.id).metrics for decision in decisions]
    shape = len(decisions), len(arms)
    eligible, logged, cost = np.zeros(shape, dtype=np.bool_), np.zeros(shape), np.zeros(shape)
    for n, decision in enumerate(decisions):
        entries = zip(decision.eligible, decision.pmf, decision.expected_costs_usd, strict=True)
        for arm, p, usd in entries:
            k = arms.index(arm)
            eligible[n, k], logged[n, k], cost[n, k] = True, p, usd
    outcomes = [[compute_reward(m, WEIGHTS), m.get("quality"), m.get("cost_usd")] for m in metrics]
    return Block(
        arms=arms,
        x=np.array([decision.x for decision in decisions]),
        eligible=eligible,
        logged=logged,
        action=np.array([arms.index(decision.arm) for decision in decisions]),
        propensity=np.array([decision.propensity for decision in decisions]),
        outcomes=np.array(outcomes, dtype=np.float64),
        fold=np.array([crc32(decision.id.encode()) % 5 for decision in decisions]),
        order=np.arange(len(decisions)),
        expected_cost_usd=cost,
        cost_weight=np.array([decision.cost_weight for decision in decisions]),
        signals=tuple(decision.signals for decision in decisions),
        decided_at=np.array([decision.decided_at for decision in decisions]),
        list_cost_usd=np.array([decision.list_cost_usd for decision in decisions], dtype=np.float64),
        task=np.array([decision.task for decision in decisions]),
    )
