"""What to do with a rollout, by the interval of the utility at the stage under way."""

from __future__ import annotations

import math

from bandit_router.evaluation.rollout_sample import AnytimeInterval, RolloutComparison
from bandit_router.insight.rollout import Action, Recommendation, StageRecord
from bandit_router.settings.rollout import RolloutSection

_DAY_S = 86_400.0


def recommend(
    section: RolloutSection, stage: StageRecord, comparison: RolloutComparison, now: float
) -> Recommendation:
    """Abort if the candidate is worse beyond doubt, advance if it is not by the margin, else wait."""
    step = section.find_next_step(stage.share)
    onward = "name a share" if step is None else f"advance to {step:.4g}"
    if stage.share == 1.0:
        why = "the candidate decides everything: take [rollout] out of the settings when you trust it"
        return Recommendation(Action.FINISH, why)
    if stage.share == 0.0:
        why = f"without traffic there is no evidence of the candidate: {onward} to get some"
        if not stage.aborted:
            return Recommendation(Action.ADVANCE, why)
        return Recommendation(Action.WAIT, f"aborted ({stage.why}); when its cause is cured, {onward}")
    utility = comparison.utility
    if utility is None:
        return Recommendation(Action.WAIT, "no rated request of this stage is old enough to be judged")
    said = f"utility {utility.value:+.4f}, at any time within {utility.low:+.4f} … {utility.high:+.4f}"
    if utility.high < 0.0:
        return Recommendation(Action.ABORT, f"the candidate is worse beyond doubt: {said}")
    if utility.low > -section.margin:
        why = f"the candidate is not worse by {section.margin:g} or more: {said}; {onward}"
        return Recommendation(Action.ADVANCE, why)
    needed = count_needed(utility, section.margin)
    judged_s = now - stage.since
    days = None if judged_s <= 0.0 else needed / utility.n * judged_s / _DAY_S
    why = f"it is not yet known whether the candidate is worse by {section.margin:g}: {said}"
    return Recommendation(Action.WAIT, why, needed, days)


def count_needed(utility: AnytimeInterval, margin: float) -> int:
    """About how many more observations end the doubt, if the difference stays what it is.

    Intervals narrow as 1/√n. The doubt ends at −margin for a candidate above that, at 0 for one below.
    """
    half = utility.high - utility.value
    distance = utility.value + margin if utility.value > -margin else -utility.value
    return max(0, math.ceil(utility.n * ((half / max(distance, 1e-9)) ** 2 - 1.0)))
