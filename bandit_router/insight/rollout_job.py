"""The process that compares candidate and incumbent in the background, and steps on or stops if asked to."""

from __future__ import annotations

from bandit_router.insight.background_job import Job, open_store, run_from_stdin
from bandit_router.insight.rollout import KIND, Action, RolloutStatus, rollout_facts
from bandit_router.insight.rollout_estimate import observe_rollout
from bandit_router.settings.rollout import RolloutSection
from bandit_router.store.store import Store
from bandit_router.types import RolloutStage


class RolloutJob(Job):
    """The rollout to look at."""

    rollout: RolloutSection


def run_job(job: RolloutJob) -> bool:
    """Compare, act and store; False if another holder has the lease by now. Raises StoreError."""
    with open_store(job) as store:
        status = observe_rollout(store, job.rollout)
        act_on_status(store, job.rollout, status)
        return store.store_estimate(KIND, job.holder, rollout_facts(status))


def act_on_status(store: Store, section: RolloutSection, status: RolloutStatus) -> RolloutStage | None:
    """Advance or abort as recommended, where the settings ask for it; the stage that begins, None if none.

    Nothing is done if another stage has begun since the status was made. Shadow mode is left by hand.
    """
    stage, advice = status.stage, status.recommendation
    if section.auto_stop and advice.action is Action.ABORT:
        return store.change_rollout(0.0, why=advice.why, aborted=True, only_after=stage.id)
    step = section.find_next_step(stage.share)
    if section.auto_advance and advice.action is Action.ADVANCE and stage.share > 0.0 and step is not None:
        return store.change_rollout(step, why=advice.why, only_after=stage.id)
    return None


if __name__ == "__main__":
    run_from_stdin(RolloutJob, run_job)
