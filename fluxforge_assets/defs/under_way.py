"""Whether a run of a job is under way: asked by what must not start another, or leaves to it what it does itself."""

import dagster as dg

ACTIVE = [s for s in dg.DagsterRunStatus if s.value in {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}]


def is_under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job waits for its turn or runs."""
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ACTIVE), limit=1))
