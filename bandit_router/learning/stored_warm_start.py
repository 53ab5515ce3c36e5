"""The warm start on record: put it behind a model state, take an arm out of it, clamp its time."""

from __future__ import annotations

from bandit_router.posterior.state import ModelState, align_warm_start, decode_state, encode_state
from bandit_router.store.learner_transaction import LearnerTransaction


def put_behind_state(transaction: LearnerTransaction, state: ModelState) -> None:
    """Put the evidence from elsewhere that is in force behind what is learned."""
    warm = transaction.warm_start()
    if warm is not None:
        evidence = decode_state(warm.evidence)
        state.rewards.warm, state.costs.warm = align_warm_start(evidence, state.rewards.arms)


def remove_arm(transaction: LearnerTransaction, arm: str, at: float) -> None:
    """Leave the arm out of the evidence from elsewhere, if that was loaded before ``at`` (Unix time)."""
    warm = transaction.warm_start()
    if warm is None or warm.loaded_at >= at:
        return
    evidence = decode_state(warm.evidence)
    if arm not in evidence.rewards:
        return
    for component in evidence.components.values():
        component.forget(arm)
    transaction.insert_warm_start(
        encode_state(evidence), source=warm.source, trust=warm.trust, now=warm.loaded_at
    )


def rename_arm(transaction: LearnerTransaction, old: str, new: str) -> None:
    """Let the evidence from elsewhere of ``old`` be of ``new``, unless there is some of that, too."""
    warm = transaction.warm_start()
    if warm is None:
        return
    evidence = decode_state(warm.evidence)
    if old not in evidence.rewards or new in evidence.rewards:
        return
    for component in evidence.components.values():
        component.arms = tuple(new if arm == old else arm for arm in component.arms)
    transaction.insert_warm_start(
        encode_state(evidence), source=warm.source, trust=warm.trust, now=warm.loaded_at
    )


def clamp(transaction: LearnerTransaction, now: float, latest: float) -> int:
    """Load the evidence in force again at ``now`` if it was loaded after ``latest``, Unix times; 1 if so."""
    warm = transaction.warm_start()
    if warm is None or warm.loaded_at <= latest:
        return 0
    evidence = decode_state(warm.evidence)
    for posterior in (evidence.rewards, evidence.costs):
        posterior.warm = posterior.warm and posterior.warm._replace(since=now)
    transaction.insert_warm_start(encode_state(evidence), source=warm.source, trust=warm.trust, now=now)
    return 1
