"""The influence of API keys: feedback weighs so much that no key has more than a share of what is learned.

Of the keys that are active, key j gave N_j pieces of feedback today and yesterday (UTC). A key may count for
at most τ of them, so that none has more than the share c of what all count for. W is what a key's feedback
weighs so far, and N counts the piece that is weighed now::

    τ = c · Σ_j min(N_j, τ)        c = max(max_key_share, 1.5 / number of active keys)
    w = min(1, max(0, 2τ − W) / N)

At a steady rate W tends to τ, with weights of about τ/N: all of a busy key's feedback is heard, each piece
more quietly. In a burst W stays below 2τ. A weight depends on what came before: it is stored with its row,
and never computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

LEAST_KEYS = 3
"""With fewer active keys nobody knows which of them is unlike the others."""

LEAST_GIVEN = 30
"""Pieces of feedback in two days that make a key active."""

_EQUAL_SHARES = 1.5  # that a key may have in any case, or equally busy keys would silence each other
_BURST = 2.0


class FeedbackKey(NamedTuple):
    """The key that feedback came with, and the share of what is learned that one key may have."""

    key_id: str
    max_share: float


class KeyActivity(NamedTuple):
    """The pieces of feedback that a key gave today and yesterday, and the sum of weights that were capped."""

    given: int = 0
    weight: float = 0.0

    def plus(self, more: KeyActivity) -> KeyActivity:
        """Both together."""
        return KeyActivity(self.given + more.given, self.weight + more.weight)


def weigh_feedback(key_id: str, activity: Mapping[str, KeyActivity], max_share: float) -> float | None:
    """The weight of the newest piece of a key's feedback, which ``activity`` counts already.

    In [0, 1]; None if none is capped now, which is a weight of 1.
    """
    active = [of_key.given for of_key in activity.values() if of_key.given >= LEAST_GIVEN]
    if max_share >= 1.0 or len(active) < LEAST_KEYS:
        return None
    own, most = activity[key_id], find_most_counted(active, max_share)
    return min(1.0, max(0.0, _BURST * most - own.weight) / own.given)


def find_most_counted(given: Collection[int], max_share: float) -> float:
    """τ: what a key that gave more counts for. ``given`` is by active key; there is one at least."""
    share = min(1.0, max(max_share, _EQUAL_SHARES / len(given)))
    largest, rest = sorted(given, reverse=True), float(sum(given))
    for busier, next_largest in enumerate(largest):
        most = share * rest / (1.0 - busier * share)
        if next_largest <= most:
            return most
        rest -= next_largest
    raise AssertionError("with a share of at least 1/n each, n keys can have all of it")
