"""The share of answers that are rated, which exploration is scaled by."""

from __future__ import annotations

from bandit_router.store.rollups.measures import USUAL


def estimate_rated_share(old: int, rated: int) -> float:
    """The share of answers that get a rating in the end, given those that are ``old`` enough; at most 1.

    Old enough is an age at which a share USUAL of the ratings has come::

        (rated + 1) / (USUAL · old + 1)

    This is exactly 1 where every answer is rated, and never 0.
    """
    return min(1.0, round((rated + 1) / (USUAL * old + 1), 4))
