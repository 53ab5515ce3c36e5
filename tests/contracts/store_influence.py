"""What every store must do with feedback of API keys: weigh it once, and leave out keys in quarantine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from bandit_router.errors import InvalidInput, UnknownKey
from bandit_router.learning.audit import audit_store
from bandit_router.learning.quantities import Quantity
from bandit_router.posterior.state import decode_state
from bandit_router.security.influence import FeedbackKey, KeyActivity, weigh_feedback
from bandit_router.store.records import Observation, WeightedValue
from bandit_router.store.store import Store
from bandit_router.store.tables import feedback, key_feedback
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Outcome
from tests.store.examples import OpenStore, learner_of, logged, rows, together
from tests.store.examples import feedback as about
from tests.store.keyed_feedback import (
    BUSY,
    OTHERS,
    SHARE,
    Said,
    make_decisions,
    make_feedback,
    make_keys,
    note_activity,
    weights_of,
    write_decisions,
    write_said,
)
from tests.store.user_log import PRUNED


def state_of(store: Store) -> bytes:
    return store.published()[2]


def assert_same_beliefs(one: Store, other: Store) -> None:
    """The same counts, and the same sums to 1e-9."""
    first, second = (decode_state(state_of(store)) for store in (one, other))
    for name, component in first.components.items():
        component.advance(second.components[name].as_of)
        np.testing.assert_array_equal(component.count, second.components[name].count)
        for mine, theirs in zip(component.sums, second.components[name].sums, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def feedback_without_a_key_and_of_two_keys_weighs_1(open_store: OpenStore) -> None:
    store, plain = open_store(), open_store("s")
    key_ids, decisions = make_keys(store), make_decisions(120)
    said = [
        Said(made, (BUSY, BUSY, "one", None)[i % 4], {"quality": i / 120}) for i, made in enumerate(decisions)
    ]
    for each, given in ((store, said), (plain, [one._replace(key=None) for one in said])):
        write_decisions(each, decisions)
        write_said(each, given, key_ids)
        learner_of(each).fold_all()
    assert set(weights_of(store, key_ids[BUSY])) == {1.0}
    assert state_of(store) == state_of(plain)
    assert rows(plain, key_feedback) == 0


def a_busy_key_weighs_as_the_counters_of_two_days_say(open_store: OpenStore) -> None:
    store = open_store()
    key_ids, decisions = make_keys(store), make_decisions(400)
    write_decisions(store, decisions)
    rng = np.random.default_rng(3)
    names = [BUSY if rng.random() < 0.6 else OTHERS[rng.integers(3)] for _ in decisions]
    write_said(store, [Said(d, k, {"quality": 1.0}) for d, k in zip(decisions, names, strict=True)], key_ids)
    activity: dict[str, KeyActivity] = dict.fromkeys(key_ids, KeyActivity())
    expected: list[float] = []
    for name in names:
        activity[name] = activity[name].plus(KeyActivity(given=1))
        weight = weigh_feedback(name, activity, SHARE)
        activity[name] = activity[name].plus(KeyActivity(weight=weight or 0.0))
        expected += [1.0 if weight is None else weight] if name == BUSY else []
    assert weights_of(store, key_ids[BUSY]) == pytest.approx(expected, rel=1e-9)
    assert min(expected) < 0.9
    assert {weight for name in OTHERS for weight in weights_of(store, key_ids[name])} == {1.0}


def revisions_keep_the_weight_of_their_key(open_store: OpenStore) -> None:
    store = open_store()
    key_ids, made = make_keys(store), logged(store)
    note_activity(store, key_ids)

    def say(key: str | None, value: float | None) -> float:
        sent = None if key is None else FeedbackKey(key_ids[key], SHARE)
        (answer,) = store.write([WriteRequest(payload=about(made, quality=value), feedback_key=sent)])
        assert isinstance(answer, dict), answer
        return store.observation(made.id).weights.get("quality", 1.0)

    first = say(BUSY, 0.25)
    assert 0.0 < first < 1.0
    assert say(BUSY, 0.5) == first
    assert say(OTHERS[0], 0.75) == 1.0
    again = say(BUSY, 0.0)
    assert 0.0 < again < 1.0
    assert again != first  # one more piece of feedback of a busy key
    assert say(BUSY, None) == 1.0  # it is not in force
    assert say(BUSY, 0.1) == again
    assert say(None, 1.0) == 1.0
    assert rows(store, feedback) == 7


def sums_with_weights_depend_on_no_order_and_equal_a_rebuild(open_store: OpenStore) -> None:
    store, decisions = open_store(), make_decisions(130)
    key_ids = make_keys(store)
    note_activity(store, key_ids)
    write_decisions(store, decisions)
    said = make_feedback(decisions)
    for begin, end in pairwise([0, 30, 90, 150, len(said)]):
        write_said(store, said[begin:end], key_ids)
        learner_of(store, batch=17).fold_all()
    assert audit_store(store).problems == []
    live = decode_state(state_of(store))
    learner_of(store).rebuild()
    rebuilt = decode_state(state_of(store))
    assert (live.rewards.count == rebuilt.rewards.count).all()
    assert live.latencies.bins.sum() < live.latencies.count.sum() - 20.0  # weights were below 1
    np.testing.assert_allclose(live.rewards.second, rebuilt.rewards.second, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(live.rewards.cross, rebuilt.rewards.cross, rtol=1e-9, atol=1e-9)
    assert audit_store(store).problems == []


def a_learner_that_weighs_when_it_folds_is_noticed(open_store: OpenStore) -> None:
    store, decisions = open_store(), make_decisions(130)
    key_ids = make_keys(store)
    note_activity(store, key_ids)
    write_decisions(store, decisions)
    folds = iter(range(1, 1_000))
    target = Quantity.target

    def weigh_now(self: Quantity, observation: Observation, weights: object) -> WeightedValue | None:
        counted = target(self, observation, weights)  # type: ignore[arg-type]
        return counted and counted._replace(weight=1.0 / (1.0 + next(folds) / 100.0))

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Quantity, "target", weigh_now)
        write_said(store, make_feedback(decisions), key_ids)
        learner_of(store).fold_all()
    assert any("the log says" in problem for problem in audit_store(store).problems)
    learner_of(store).rebuild()
    assert audit_store(store).problems == []


def what_a_key_in_quarantine_said_counts_for_nothing(open_store: OpenStore) -> None:
    store, without, decisions = open_store(), open_store("s"), make_decisions(130)
    key_ids, said = make_keys(store), make_feedback(decisions)
    note_activity(store, key_ids)
    half = len(said) // 2
    for each in (store, without):
        write_decisions(each, decisions)
    write_said(store, said[:half], key_ids)
    learner_of(store).fold_all()
    learner_of(store).quarantine_key(key_ids[BUSY])
    assert audit_store(store).problems == []
    write_said(store, said[half:], key_ids)
    learner_of(store).fold_all()
    assert audit_store(store).problems == []
    heard = [each for each in said if each.key != BUSY]
    write_said(without, heard, key_ids)
    learner_of(without).rebuild()
    first, second = decode_state(state_of(store)).rewards, decode_state(state_of(without)).rewards
    assert (first.count == second.count).all()
    assert len(weights_of(store, key_ids[BUSY])) > 50  # the log keeps it
    (act,) = [act for act in store.acts(10) if act.kind == "key_quarantined"]
    assert act.subject == key_ids[BUSY]


def a_released_key_counts_as_if_it_had_never_been_in_quarantine(open_store: OpenStore) -> None:
    store, other, decisions = open_store(), open_store("s"), make_decisions(120)
    said = make_feedback(decisions)
    for each in (store, other):
        key_ids = make_keys(each)
        write_decisions(each, decisions)
        write_said(each, said[:60], key_ids)
        learner_of(each).fold_all()
        if each is store:
            learner_of(each).quarantine_key(key_ids[BUSY])
            mine = key_ids
        write_said(each, said[60:], key_ids)
        learner_of(each).fold_all()
    learner_of(store).release_key(mine[BUSY])
    assert audit_store(store).problems == []
    learner_of(other).rebuild()
    said_alone = {each.decision.id for each in said[:60]} - {each.decision.id for each in said[60:]}
    for decision_id in said_alone:
        assert store.observation(decision_id).metrics == other.observation(decision_id).metrics
    assert posterior_counts(store) == posterior_counts(other)


def posterior_counts(store: Store) -> list[int]:
    counts: list[int] = decode_state(state_of(store)).rewards.count.tolist()
    return counts


def another_keys_value_is_in_force_again(open_store: OpenStore) -> None:
    store = open_store()
    key_ids, made = make_keys(store), logged(store, snapshot=PRUNED)

    def say(key: str, value: float | None) -> Outcome:
        sent = FeedbackKey(key_ids[key], SHARE)
        (answer,) = store.write([WriteRequest(payload=about(made, quality=value), feedback_key=sent)])
        assert isinstance(answer, dict), answer
        return answer["quality"]

    assert [say("one", 0.75), say(BUSY, 0.0)] == [Outcome.RECORDED, Outcome.REVISED]
    learner_of(store).quarantine_key(key_ids[BUSY])
    assert store.observation(made.id).metrics == {"quality": 0.75}
    assert say(BUSY, None) is Outcome.RETRACTED
    assert say("one", 0.75) is Outcome.DUPLICATE
    assert say("two", 0.0) is Outcome.REVISED
    assert store.observation(made.id).metrics == {"quality": 0.0}
    learner_of(store).release_key(key_ids[BUSY])
    assert store.observation(made.id).metrics == {"quality": 0.0}
    assert audit_store(store).problems == []


def a_quarantine_is_of_a_key_and_begins_and_ends_once(open_store: OpenStore) -> None:
    store = open_store()
    key_id = make_keys(store)[BUSY]
    with pytest.raises(UnknownKey):
        learner_of(store).quarantine_key("nobody")
    with pytest.raises(InvalidInput, match="is not in quarantine"):
        learner_of(store).release_key(key_id)
    learner_of(store).quarantine_key(key_id)
    with pytest.raises(InvalidInput, match="is in quarantine already"):
        learner_of(store).quarantine_key(key_id)


def workers_that_take_feedback_during_a_quarantine_agree_with_the_log(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    key_ids, decisions = make_keys(stores[0]), make_decisions(160)
    write_decisions(stores[0], decisions)
    said = make_feedback(decisions)

    def learn() -> None:
        learner = learner_of(stores[2], batch=13)
        for _ in range(15):
            learner.fold()

    together(
        partial(write_said, stores[0], said[::2], key_ids),
        partial(write_said, stores[1], said[1::2], key_ids),
        learn,
        lambda: learner_of(stores[3]).quarantine_key(key_ids[BUSY]),
    )
    learner_of(stores[0]).fold_all(wait=True)
    assert audit_store(stores[0]).problems == []
    with stores[0].read_log() as log:
        heard = {o.decision_id for piece in log.observations() for o in piece if "quality" in o.metrics}
    assert sum(posterior_counts(stores[0])) == len(heard)


INFLUENCE: tuple[Callable[[OpenStore], None], ...] = (
    feedback_without_a_key_and_of_two_keys_weighs_1,
    a_busy_key_weighs_as_the_counters_of_two_days_say,
    revisions_keep_the_weight_of_their_key,
    sums_with_weights_depend_on_no_order_and_equal_a_rebuild,
    a_learner_that_weighs_when_it_folds_is_noticed,
    what_a_key_in_quarantine_said_counts_for_nothing,
    a_released_key_counts_as_if_it_had_never_been_in_quarantine,
    another_keys_value_is_in_force_again,
    a_quarantine_is_of_a_key_and_begins_and_ends_once,
    workers_that_take_feedback_during_a_quarantine_agree_with_the_log,
)
