"""The process that estimates savings in the background."""

from __future__ import annotations

from bandit_router.insight.background_job import Job, open_store, run_from_stdin
from bandit_router.insight.savings import KIND, savings_facts
from bandit_router.insight.savings_estimate import Sample, estimate_savings
from bandit_router.settings.insight import InsightSection


class SavingsJob(Job):
    """The savings to estimate."""

    insight: InsightSection


def run_job(job: SavingsJob) -> bool:
    """Estimate and store; False if another holder has the lease by now. Raises StoreError."""
    with open_store(job) as store:
        savings = estimate_savings(store, make_sample(job.insight))
        return store.store_estimate(KIND, job.holder, savings_facts(savings))


def make_sample(section: InsightSection) -> Sample:
    """The sample that the settings ask for."""
    return Sample(rows=section.savings_rows, days=section.savings_days, margin=section.savings_margin)


if __name__ == "__main__":
    run_from_stdin(SavingsJob, run_job)
