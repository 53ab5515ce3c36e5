"""The contract suite, run for every entry of the registry, and proof that it can fail."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router import policies as package
from bandit_router.policies import POLICIES, Policy, Trial, make_policy
from bandit_router.policies.bandit import EpsilonGreedy, Fixed, Tempered
from bandit_router.policies.heard import Heard
from bandit_router.policies.rollout import Rollout
from bandit_router.policies.safe import Safe
from bandit_router.policies.tier import Tier
from bandit_router.types import Scores
from tests.contracts import policy as contract
from tests.contracts.policy import NEEDS, ORDINARY, make_scores, some_scores
from tests.packages import values_in

EPSILONS = (0.0, 0.02, 0.5, 1.0)


def takes(name: str) -> list[str]:
    return list(inspect.signature(POLICIES[name]).parameters)


def every_policy() -> list[Policy]:
    """Each registered policy, once for every ε where it has one, with and without a trial of new arms."""
    made = []
    for name in POLICIES:
        needs = NEEDS.get(name, {})
        if "epsilon" in takes(name):
            made += [make_policy(name, {**needs, "epsilon": epsilon}) for epsilon in EPSILONS]
        else:
            made.append(make_policy(name, needs))
    trials: list[Policy] = [Trial(policy, 0.25, 10) for policy in made]
    heard = [Heard(policy, 0.001) for policy in (Tempered(), Trial(Tempered(), 0.25, 10))]
    rollouts = [Rollout(Fixed("a1"), Tempered(), share) for share in (0.0, 0.05, 1.0)]
    safe = [Safe(policy, "a1") for policy in (Tempered(), heard[1])]
    rollouts += [Rollout(Fixed("a0"), safe[0], 0.5), Rollout(Tier({"else": Tempered()}), heard[1], 0.5)]
    return [*made, *trials, *heard, *safe, *rollouts]


def spec_of(policy: Policy) -> str:
    return policy.spec


policies = pytest.mark.parametrize("policy", every_policy(), ids=spec_of)
tie_breakers = pytest.mark.parametrize("policy", [p for p in every_policy() if not p.arms], ids=spec_of)


@cache
def scores_in_any_order() -> list[tuple[Scores, Sequence[int], Sequence[int]]]:
    """What Hypothesis draws for a property, once for all policies: scores, an order, the eligible arms."""
    drawn: list[tuple[Scores, Sequence[int], Sequence[int]]] = []

    @given(st.data(), some_scores())
    def draw(data: st.DataObject, scores: Scores) -> None:
        order = data.draw(st.permutations(range(len(scores.arms))))
        drawn.append((scores, order, order[: data.draw(st.integers(1, len(order)))]))

    draw()
    return drawn


def test_every_policy_of_the_package_is_registered_but_those_around_another() -> None:
    written = {value for value in values_in(package) if isinstance(value, type) and issubclass(value, Policy)}
    assert written - {Policy, Trial, Heard, Safe, Rollout} == set(POLICIES.values())


# -- the contract ----------------------------------------------------------------------------------


@policies
def test_the_pmf_is_a_distribution_over_the_eligible_arms_in_any_order(policy: Policy) -> None:
    for scores, order, eligible in scores_in_any_order():
        contract.check_distribution(policy, scores)
        contract.check_eligibility(policy, scores, eligible)
        contract.check_permutation(policy, scores, order)


@pytest.mark.parametrize("name", [name for name in POLICIES if "epsilon" in takes(name)])
@pytest.mark.parametrize("epsilon", EPSILONS)
def test_no_arm_gets_less_than_the_floor(name: str, epsilon: float) -> None:
    policy = make_policy(name, {**NEEDS.get(name, {}), "epsilon": epsilon})
    for scores, *_ in scores_in_any_order():
        contract.check_floor(policy, scores, epsilon)


@tie_breakers
@pytest.mark.parametrize("arms", [2, 3, 7])
@pytest.mark.parametrize(("utility", "std"), [(0.5, 0.1), (0.3, 0.0), (-2.0, 1e-4), (0.0, 2.0)])
def test_ties_are_split_evenly(policy: Policy, arms: int, utility: float, std: float) -> None:
    contract.check_ties(policy, arms, utility, std)


@policies
def test_the_input_is_left_alone(policy: Policy) -> None:
    contract.check_input_unchanged(policy, ORDINARY)


@policies
def test_one_eligible_arm_gets_everything(policy: Policy) -> None:
    contract.check_one_arm(policy)


@policies
def test_no_eligible_arm_is_an_error(policy: Policy) -> None:
    contract.check_no_arm(policy)


@policies
def test_the_same_seed_gives_the_same_actions(policy: Policy) -> None:
    contract.check_deterministic(policy, ORDINARY)


@policies
def test_actions_are_drawn_from_the_pmf(policy: Policy) -> None:
    contract.check_samples(policy, ORDINARY)


@policies
def test_the_spec_reads_back_as_the_policy(policy: Policy) -> None:
    contract.check_spec(policy)


# -- the contract catches what it should ----------------------------------------------------------


@dataclass(frozen=True)
class Faulty(Policy):
    """A policy whose PMF is spoiled after the fact."""

    spoil: Callable[[list[float], Scores], list[float]]
    spec: str = "epsilon-greedy:epsilon=0.5"

    def pmf(self, scores: Scores) -> list[float]:
        return self.spoil(EpsilonGreedy(epsilon=0.5).pmf(scores), scores)


def masked_too_late(pmf: list[float], scores: Scores) -> list[float]:
    """Spreads over every configured arm, then keeps the eligible ones."""
    everyone = dict(zip(ORDINARY.arms, EpsilonGreedy(epsilon=0.5).pmf(ORDINARY), strict=True))
    return [everyone[arm] for arm, _ in zip(scores.arms, pmf, strict=True)]


def first_of_a_tie(pmf: list[float], scores: Scores) -> list[float]:
    best = scores.utility.argmax()
    return [float(k == best) for k in range(len(pmf))]


def without_floor(pmf: list[float], scores: Scores) -> list[float]:
    return EpsilonGreedy(epsilon=0.0).pmf(scores) if pmf else pmf


def by_position(pmf: list[float], scores: Scores) -> list[float]:
    del scores
    weights = [p * (k + 1) for k, p in enumerate(pmf)]
    return [w / math.fsum(weights) for w in weights]


def scribbling(pmf: list[float], scores: Scores) -> list[float]:
    scores.utility[0] += 1.0
    return pmf


def test_a_pmf_made_before_the_eligibility_mask_fails_the_contract() -> None:
    policy = Faulty(masked_too_late)
    contract.check_eligibility(policy, ORDINARY, range(5))
    with pytest.raises(AssertionError):
        contract.check_eligibility(policy, ORDINARY, [0, 2])


def test_everything_on_the_first_of_tied_arms_fails_the_contract() -> None:
    with pytest.raises(AssertionError):
        contract.check_ties(Faulty(first_of_a_tie), 3, 0.5, 0.1)


def test_a_missing_floor_fails_the_contract() -> None:
    with pytest.raises(AssertionError):
        contract.check_floor(Faulty(without_floor), ORDINARY, 0.5)


def test_a_pmf_that_depends_on_the_order_fails_the_contract() -> None:
    with pytest.raises(AssertionError):
        contract.check_permutation(Faulty(by_position), ORDINARY, [4, 3, 2, 1, 0])


def test_writing_to_the_input_fails_the_contract() -> None:
    with pytest.raises(AssertionError):
        contract.check_input_unchanged(Faulty(scribbling), make_scores([0.1, 0.2], [0.1, 0.1]))


def test_a_spec_of_another_policy_fails_the_contract() -> None:
    with pytest.raises(AssertionError):
        contract.check_spec(Faulty(by_position))
