"""One job on its way: guards, counted, then walked chunk by chunk where rows may go or SQL alone cannot tell."""

import getpass
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Literal
from zoneinfo import ZoneInfo

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Job
from retentiond.engine.chunk import ChunkResult, Workshop, is_of_a_row, process
from retentiond.engine.count import Tally, count, cutoffs, walks
from retentiond.engine.custody import Custody, utc_now
from retentiond.engine.effects_causes import obstacles
from retentiond.engine.guards import Verdict, Warden
from retentiond.engine.pages import pages
from retentiond.engine.protocol import Protocol
from retentiond.engine.replay import CameBack
from retentiond.engine.report import JobReport
from retentiond.engine.retry import is_locked, retried
from retentiond.engine.session import Session
from retentiond.engine.sources import Sources
from retentiond.errors import EvidenceError, FailedError, RefusedError, RetentiondError, TransientError
from retentiond.policy.calendar import Kind, before_bound
from retentiond.state import values as state
from retentiond.state.locks import job_lock
from retentiond.state.store import Store
from retentiond.state.values import Failure

# How many rows of a job may be set aside before it stops: each locked one was waited for, and where more rows fail than
# go, it is not single rows that stand in the way.
_MOST_LOCKED = 10
_MOST_FAILED = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: rows looked at, of how many (None while nobody knows)."""

    job: Job
    phase: Literal["counting", "working"]
    done: int
    total: int | None


class JobRun:
    """One run of one job, dry or real."""

    def __init__(
        self,
        job: Job,
        sources: Sources,
        at: datetime,
        custody: Custody | None,
        progress: Callable[[Progress], None],
        *,
        apply: bool,
        came_back: Sequence[CameBack] = (),
    ) -> None:
        self._came_back = came_back
        self._job, self._sources, self._at = job, sources, at.astimezone(UTC).replace(microsecond=0)
        self._custody, self._progress, self._apply = custody, progress, apply
        self._verdict = Verdict()
        self._told = False  # nothing goes, and every class was counted row by row
        self._tally: Tally | None = None
        self._done = 0
        self._cascade: dict[str, int] = {}
        self._aside = 0
        self._counted_due = 0
        self._locked = 0
        self._failure: Failure | None = None
        self._refusal: RefusedError | None = None
        self._run_id = ""
        self._chunks = 0

    def report(self, requested_by: str) -> JobReport:
        """The job's report; it has run when this returns."""
        started = time.monotonic()
        self._begin(requested_by)
        try:
            with Session(self._sources, apply=self._apply) as session:
                self._carry_out(session)
        except EvidenceError:
            raise
        except RefusedError as error:
            self._refusal = error
        except RetentiondError as error:
            self._failure = Failure(error.code or "failed", str(error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one job must not keep the others from theirs
            # Its text is not ours, and may hold a value of a row.
            message = f"unexpected {type(error).__name__}; this is a mistake in retentiond, please report it"
            self._failure = Failure("unexpected", message)
        else:
            if self._failure:
                aside = f"rows set aside: {self._aside}; {self._failure.message}"
                self._failure = replace(self._failure, message=aside)
        report = self._report(time.monotonic() - started)
        self._finish(report)
        return report

    def _carry_out(self, session: Session) -> None:
        """Guards, counts, guards on the counts; then, where nothing says no, chunk by chunk."""
        custody = self._custody
        if custody is None or not self._apply:
            self._look(session)
            return
        with job_lock(custody.store.locks_folder, self._job.name):
            custody.refuse_restored()
            custody.warden.check_before(self._job, session)
            protocol = Protocol(self._job, self._run_id, self._at, custody, session)
            if self._came_back:
                protocol.reopen(self._came_back)
            else:
                protocol.open()
            custody.warden.pin(self._job, session)  # a SQLite source has had no identity before it had a fence
            self._job = protocol.allowed(protocol.epoch())
            self._count(session)
            if self._came_back:
                assert self._tally is not None
                self._tally.due = min(self._tally.due, len(self._returned))
            self._weigh(custody.warden)
            if self._acts and not self._verdict.stops and not self._told:
                try:
                    # What falls due only now was approved by nobody: without the protocol it is counted.
                    self._walk(session, protocol if self._verdict.goes else None)
                finally:
                    self._add_cascade(protocol.partial)

    def _look(self, session: Session) -> None:
        """The dry run: counted, walked where SQL alone cannot tell, and told what would stand in the way."""
        if self._custody is not None:
            self._job = self._custody.holds.apply(self._job)
        self._count(session)
        if self._acts and walks(self._job):
            self._walk(session, None)
        if self._custody is not None:
            assert self._tally is not None
            self._verdict = self._custody.warden.foresee(self._job, session, self._tally)

    def counted(self, session: Session) -> Tally:
        """The exact counts of a dry run."""
        self._look(session)
        assert self._tally is not None
        return self._tally

    def _weigh(self, warden: Warden) -> None:
        """Asks the guards that look at numbers; exact ones where a guess alone would trip them."""
        assert self._tally is not None
        tally = self._tally
        if self._acts and walks(self._job) and not self._came_back and warden.needs_exact(self._job, tally):
            with Session(self._sources, apply=False) as looking:
                exact = JobRun(self._job, self._sources, self._at, None, self._progress, apply=False)
                tally = exact.counted(looking)
        self._verdict = warden.check_counts(self._job, tally, self._run_id)
        if not self._verdict.goes:
            self._told = tally is not self._tally
            self._tally = tally

    @property
    def _acts(self) -> bool:
        """False before the policy's effective date: then nothing is due."""
        effective = self._job.effective
        return effective is None or self._at >= start_of_day(effective, self._job.timezone)

    def _count(self, session: Session) -> None:
        self._progress(Progress(self._job, "counting", 0, None))
        tally, _ = retried(partial(count, self._job, self._at, session))
        if not self._acts:
            tally.due, tally.oldest_due = 0, None
        self._tally = tally

    def _walk(self, session: Session, protocol: Protocol | None) -> None:
        """Every chunk of rows that may be due; what the chunks find replaces what SQL could only guess."""
        job, tally = self._job, self._tally
        assert tally is not None
        key = self._key()
        expected = tally.due + tally.held + tally.floored if job.expiry.local else tally.total
        self._counted_due = tally.due
        if walks(job):
            tally.held = tally.floored = 0
        tally.due, counted_oldest, tally.oldest_due = 0, tally.oldest_due, None
        workshop = Workshop(job, self._at, session, key, self._sources.chunk_rows(job.source), protocol)
        workshop.most = self._verdict.most
        looked_at = 0
        for keys in self._pages(session, workshop.batch):
            for result in self._chunk(workshop, keys, patient=True):
                self._take(tally, result)
            looked_at += len(keys)
            self._progress(Progress(job, "working", looked_at, max(expected, looked_at)))
        if tally.due and tally.oldest_due is None:
            tally.oldest_due = counted_oldest

    @property
    def _returned(self) -> list[Key]:
        """The keys of the job's own rows that a restored back-up brought back."""
        own = self._job.step.relation.label
        return [key for back in self._came_back for key in back.keys.get(own, ())]

    def _pages(self, session: Session, size: int) -> Iterator[Sequence[Key]]:
        """The keys that may be due; in a replay those that came back, and no others."""
        if not self._came_back:
            yield from pages(self._job, self._at, session, size)
            return
        keys = self._returned
        yield from (keys[start : start + size] for start in range(0, len(keys), size))

    def _chunk(self, workshop: Workshop, keys: Sequence[Key], *, patient: bool) -> Iterator[ChunkResult]:
        """The results of a chunk; one that a row's content spoils is halved until only that row is set aside."""
        try:
            result = process(workshop, keys, patient=patient)
        except RetentiondError as error:
            if not (self._apply and is_of_a_row(error)):
                raise
            if len(keys) == 1:
                self._set_aside(error)
                return
            middle = len(keys) // 2
            yield from self._chunk(workshop, keys[:middle], patient=False)
            yield from self._chunk(workshop, keys[middle:], patient=False)
            return
        yield result

    def _set_aside(self, error: RetentiondError) -> None:
        """Leaves one row for another time; stops the job where too many were left."""
        self._aside += 1
        self._locked += is_locked(error)
        if self._failure is None:
            vetoed = error.code == "count-mismatch"  # what did it is looked for once, not for every row
            said = f"{error.message} ({obstacles(self._job, self._sources)})" if vetoed else str(error)
            self._failure = Failure(error.code or "failed", said)
        if self._locked >= _MOST_LOCKED:
            raise TransientError(f"{self._aside} rows were set aside, then the job: {error}", code=error.code)
        if self._aside >= _MOST_FAILED and self._aside > self._done:
            why = self._failure.message if self._failure.code == error.code else str(error)
            raise FailedError(f"{self._aside} rows were set aside, then the job: {why}", code=error.code)

    def _take(self, tally: Tally, result: ChunkResult) -> None:
        tally.due += result.due
        if walks(self._job):
            tally.held += result.held
            tally.floored += result.floored
        if not self._job.expiry.local:
            tally.not_started += result.not_started
            tally.suspect += result.suspect
        tally.older(result.oldest_due)
        self._done += result.done
        own = self._job.step.relation.label
        self._add_cascade({label: rows - result.done * (label == own) for label, rows in result.tables.items()})

    def _add_cascade(self, beside: Mapping[str, int]) -> None:
        for label, rows in beside.items():
            if rows:
                self._cascade[label] = self._cascade.get(label, 0) + rows

    def _key(self) -> bytes:
        masking = self._job.step.masking
        if self._apply and masking and any(needs_key(method.name, method.inside) for _, method in masking.methods):
            assert self._custody is not None
            return self._custody.keys.mask_key()
        return b""

    def _report(self, seconds: float) -> JobReport:
        tally = self._tally
        report = replace(
            heading(self._job, self._at),
            dry_run=not self._apply,
            cascade=self._cascade_counts(),
            done=self._done,
            set_aside=self._aside,
            failed=self._failure,
            seconds=seconds,
        )
        report = replace(report, approval=self._verdict.approval)
        if self._refusal and self._refusal.code == "approval":  # withdrawn while this ran
            report = replace(report, approval="missing", guard_message=str(self._refusal))
        elif self._refusal:
            report = replace(report, guard=self._refusal.code or "refused", guard_message=str(self._refusal))
        else:
            report = replace(report, guard=self._verdict.guard, guard_message=self._verdict.guard_message)
        if tally is None:
            return report
        found = tally.due + self._aside
        return replace(
            report,
            due=max(found, self._counted_due) if self._failure else found,
            held=tally.held,
            floored=tally.floored,
            not_started=tally.not_started,
            suspect=tally.suspect,
            total=tally.total,
            oldest_due=tally.oldest_due if tally.due else None,
            counted_at=self._at,
        )

    def _cascade_counts(self) -> dict[str, int]:
        """What went beside the job's own rows; every declared table is named, with 0 where nothing went."""
        own = self._job.step.relation.label
        declared = {step.relation.label: 0 for step in self._job.cascade if step.relation.label != own}
        return declared | self._cascade

    @property
    def _record(self) -> Store | None:
        """Where a real run is remembered; None in a dry one."""
        return self._custody.store if self._custody is not None and self._apply else None

    def _begin(self, requested_by: str) -> None:
        if self._record is None:
            return
        job = self._job
        identity = state.JobIdentity(job.policy, job.rule, job.source, job.record, job.step.relation.short, job.action)
        self._run_id = self._record.runs.begin(
            identity,
            plan_digest=job.digest,
            as_of=self._at,
            now=utc_now(),
            requested_by=requested_by or getpass.getuser(),
        )

    def _finish(self, report: JobReport) -> None:
        if self._record is None:
            return
        counts = state.Counts(
            due=report.due,
            held=report.held,
            floored=report.floored,
            not_started=report.not_started,
            suspect=report.suspect,
            total=report.total,
            oldest_due=report.oldest_due,
            counted_at=report.counted_at,
        )
        failed = report.failed if report.guard == "ok" else Failure(report.guard, report.guard_message)
        if failed is None and report.approval == "missing":
            failed = Failure("approval", report.guard_message)
        outcome: state.FinalOutcome = "failed" if failed else "done"
        self._record.runs.finish(self._run_id, outcome, now=utc_now(), counts=counts, failed=failed)
        assert self._custody is not None
        if report.guard == "clock":
            return  # nothing is written under a time that is wrong
        with suppress(RefusedError, TransientError):  # the job was told of it, and the next run signs
            self._custody.refuse_restored()
            self._custody.checkpoint()


def heading(job: Job, at: datetime) -> JobReport:
    """A job's report before anything is counted."""
    found = cutoffs(job, at)
    single = len(found) == 1 and not job.expiry.clocks[0].hops
    return JobReport(
        policy=job.policy,
        rule=job.rule,
        source=job.source,
        record=job.record,
        table=job.step.relation.short,
        action=job.action,
        at=at,
        dry_run=True,
        cutoffs=found,
        single_cutoff=found[0].cutoff if single else None,
    )


def start_of_day(day: date, timezone: str) -> datetime:
    """The instant at which a day begins in a time zone."""
    upper = before_bound(day, Kind.INSTANT, ZoneInfo(timezone)).upper
    assert isinstance(upper, datetime)
    return upper


def needs_key(name: str, inside: Sequence[tuple[str, object]]) -> bool:
    """True for a token, alone or inside a document."""
    return name == "token" or any(getattr(method, "name", "") == "token" for _, method in inside)


def now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC)
