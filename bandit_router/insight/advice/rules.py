"""Advice on hand-written rules: that never send anything to the expensive arm, or always do."""

from __future__ import annotations

from collections.abc import Iterator

from bandit_router.insight.advice.base import Advice, Facts, describe

_LEAST_DECISIONS = 200


def find_idle_rules(facts: Facts) -> Iterator[Advice]:
    """A heuristic policy that chooses one of its two arms no more often than it explores."""
    policy, epsilon = facts.settings.policy, facts.epsilon or 0.0
    if policy.name != "heuristic" or facts.choices < _LEAST_DECISIONS:
        return
    for parameter, when in (("expensive", "never"), ("cheap", "always")):
        arm = policy.parameters.get(parameter)
        share = facts.share_of(str(arm))
        if arm is not None and share.high is not None and share.high <= 2.0 * epsilon:
            yield Advice(
                name="idle_rules",
                title=f"The rules {when} find a query complex",
                evidence=f"The share of {arm} in the policy's decisions is {describe(share)}; "
                f"exploration gives up to {epsilon:g}.",
                change="Try queries with `bandit-router rules test FILE` and change the weights under "
                '[[rules]], or let the router learn: name = "tempered" under [policy].',
            )
