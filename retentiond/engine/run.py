"""Jobs carried out, dry or real: one loop for both. Each ends in one report; a failed job does not stop the others."""

import getpass
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from retentiond.compiler.plan import BlockedJob, Job
from retentiond.engine.custody import Custody, utc_now
from retentiond.engine.estimate import estimate_due
from retentiond.engine.job_run import JobRun, Progress, heading
from retentiond.engine.report import JobReport
from retentiond.engine.session import Session
from retentiond.engine.sources import Sources
from retentiond.errors import RefusedError, RetentiondError, TransientError
from retentiond.state import values as state
from retentiond.state.store import Store
from retentiond.state.values import Failure

__all__ = ["Progress", "carry_out"]


def _silent(_progress: Progress) -> None:
    pass


def carry_out(  # noqa: PLR0913 - all but three are named at the call
    jobs: Sequence[Job | BlockedJob],
    sources: Sources,
    at: datetime,
    *,
    apply: bool,
    custody: Custody | None = None,
    progress: Callable[[Progress], None] = _silent,
    estimate: bool = False,
    requested_by: str = "",
) -> Iterator[JobReport]:
    """
    One report per job, in order, each given as its job ends. With `apply` rows go, recorded in `custody`, which then
    must be there; without one a dry run knows of no hold and no approval. With `estimate` nothing is counted and `due`
    is a guess.

    Raises:
        EvidenceError: where a run cannot be recorded; nothing more is done.
    """
    if apply and custody is None:
        raise ValueError("nothing may go without a record")
    guards = set()
    for job in jobs:
        if isinstance(job, BlockedJob):
            yield _blocked(job, at, custody.store if apply and custody else None, requested_by, apply=apply)
        elif estimate and not apply:
            yield _estimated(job, sources, at)
        else:
            report = JobRun(job, sources, at, custody, progress, apply=apply).report(requested_by)
            guards.add(report.guard)
            yield report
    if apply and custody is not None and "ok" in guards and "clock" not in guards:
        with suppress(RefusedError, TransientError):  # it can wait for the next run
            custody.drop_old_tokens()


def _blocked(job: BlockedJob, at: datetime, store: Store | None, requested_by: str, *, apply: bool) -> JobReport:
    """The report of a job that could not be planned; a real run is remembered as a failed one."""
    failure = Failure(job.code, job.message)
    if store is not None:
        identity = state.JobIdentity(job.policy, job.rule, job.source, job.record, job.table, job.action)
        who = requested_by or getpass.getuser()
        run_id = store.runs.begin(identity, plan_digest="", as_of=at, now=utc_now(), requested_by=who)
        store.runs.finish(run_id, "failed", now=utc_now(), failed=failure)
    return JobReport(
        policy=job.policy,
        rule=job.rule,
        source=job.source,
        record=job.record,
        table=job.table,
        action=job.action,
        at=at,
        dry_run=not apply,
        failed=failure,
    )


def _estimated(job: Job, sources: Sources, at: datetime) -> JobReport:
    started = time.monotonic()
    report = replace(heading(job, at), estimated=True)
    try:
        with Session(sources, apply=False) as session:
            report = replace(report, due=estimate_due(job, at, session))
    except RetentiondError as error:
        report = replace(report, failed=Failure(error.code or "failed", str(error)))
    return replace(report, seconds=time.monotonic() - started)
