"""Advice on learning: little feedback, exploration that never happens or too rarely, no gain by reading."""

from __future__ import annotations

from collections.abc import Iterator

from bandit_router.insight.advice.arms import MARGIN
from bandit_router.insight.advice.base import Advice, Facts, describe
from bandit_router.insight.intervals import estimate_share
from bandit_router.insight.table import Dimension, Group
from bandit_router.store.rollups.measures import DECISIONS
from bandit_router.types import Reason

SCARCE = 0.05
"""A share of rated answers below which learning takes weeks."""

FEWEST_FLOOR_CHOICES = 30
"""Choices by the floor that an arm should have, so that it can be compared with the others."""

CHEAPER = 0.05
"""A share of the cost that is worth routing for."""

_LEAST_DECISIONS = 200
_LARGEST_FLOOR = 0.1


def find_scarce_feedback(facts: Facts) -> Iterator[Advice]:
    """Fewer than 5% of decisions have a quality, beyond doubt."""
    n = facts.sum(DECISIONS).count
    coverage = estimate_share(min(facts.sum("quality").count, n), n)
    if n < _LEAST_DECISIONS or coverage.high is None or coverage.high >= SCARCE:
        return
    yield Advice(
        name="scarce_feedback",
        title="Too few answers are rated to learn from",
        evidence=f"The share of decisions with a quality is {describe(coverage)}.",
        change="Rate more answers: POST /v1/feedback with the id of the decision or of the answer.",
    )


def find_unheard_exploration(facts: Facts) -> Iterator[Advice]:
    """With ``explore = "heard"``, no decision at all was of a request whose answer will be rated."""
    if facts.settings.router.explore != "heard":
        return
    greedy = facts.table.restrict(reasons=[Reason.GREEDY]).regroup(without=list(Dimension))
    explored = estimate_share(facts.choices, facts.choices + greedy.count(Group(), DECISIONS))
    if explored.n < _LEAST_DECISIONS or facts.choices:
        return
    yield Advice(
        name="unheard_exploration",
        title="Nothing is explored, for no request says that its answer will be rated",
        evidence=f"The share of decisions with `will_be_rated` is {describe(explored)}.",
        change="Send `will_be_rated` (in the gateway x-bandit-will-be-rated: 1) with requests whose answers "
        "a coin or a panel will rate; have a judge rate some, with arm under [judge] and judged_for under "
        '[reward]; or set explore = "everywhere" under [router].',
    )


def find_small_floor(facts: Facts) -> Iterator[Advice]:
    """The floor gave an arm fewer than 30 choices in the time that is looked at."""
    n, k, epsilon = facts.choices, len(facts.arms), facts.epsilon
    if n < _LEAST_DECISIONS or k < 2 or epsilon is None:
        return
    choices = n * epsilon / k
    enough = min(_LARGEST_FLOOR, FEWEST_FLOOR_CHOICES * k / n)
    if choices >= FEWEST_FLOOR_CHOICES or enough <= epsilon:
        return
    yield Advice(
        name="small_floor",
        title="Exploration is too rare to evaluate other policies by",
        evidence=f"With epsilon = {epsilon:g}, {n} decisions of the policy give each of {k} arms "
        f"{choices:.1f} choices by the floor; {FEWEST_FLOOR_CHOICES} are needed.",
        change=f"[policy]\nepsilon = {enough:.2g}",
        effect=f"Each arm would have had {n * enough / k:.0f} choices by the floor.",
    )


def find_gainless_reading(facts: Facts) -> Iterator[Advice]:
    """The router is neither 0.02 better nor 5% cheaper than its own shares at random, beyond doubt."""
    mix = facts.blind_mix
    if len(facts.arms) < 2 or mix is None or mix.reward.high is None or mix.cost.low is None:
        return
    if mix.reward.high > MARGIN or mix.cost.low < -CHEAPER:
        return
    yield Advice(
        name="gainless_reading",
        title="Reading the query gains nothing yet",
        evidence="Against the same shares of models, dealt without a look at the query, its reward is higher "
        f"by {describe(mix.reward)}, and its cost by {describe(mix.cost)} of itself.",
        change="Rate more answers with POST /v1/feedback; start from queries that every model answered, with "
        "`bandit-router warm-start --data FILE`; name the `task` of each request; or send your own "
        "`features`.",
    )
