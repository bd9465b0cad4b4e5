"""Runs in Celery workers on any machine, and whether the worker that has one still lives.

dagster-celery hands a run to a worker and reads its state from the result store. There a run stays started for ever
when its worker is killed or its machine goes down; so the worker is asked.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

ANSWER_SECONDS = 15.0
"""How long a worker may take to answer: its machine may be at work."""


class WorkerLauncher(CeleryRunLauncher):
    """Starts runs as tasks of Celery workers, and tells which of them were lost with their worker."""

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether a worker is at this run. One that was started again under its name knows nothing of it."""
        task_id = run.tags[DAGSTER_CELERY_TASK_ID_TAG]
        task = self.celery.AsyncResult(task_id)
        known = task.info
        if task.state != "STARTED" or not isinstance(known, dict) or "hostname" not in known:
            return super().check_run_worker_health(run)
        worker = known["hostname"]
        # what it holds, not what it is at: its slot may have begun a moment before the worker hears of that
        answers = self.celery.control.inspect([worker], timeout=ANSWER_SECONDS).query_task(task_id) or {}
        if task_id in answers.get(worker, {}):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if task.state != "STARTED":  # it ended meanwhile
            return super().check_run_worker_health(run)
        why = "was started again" if worker in answers else "does not answer: it was killed, or its machine went down"
        return CheckRunHealthResult(WorkerStatus.FAILED, f"worker {worker} {why}")
