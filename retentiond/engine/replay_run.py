"""After a source was restored from a back-up: what came back, and destroying it again through the one gate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from retentiond.catalog.faults import errors_of
from retentiond.compiler.plan import Job
from retentiond.engine.custody import Custody
from retentiond.engine.job_run import JobRun
from retentiond.engine.prepare import has_fence, make_sqlite_fence
from retentiond.engine.replay import CameBack, what_came_back
from retentiond.engine.report import JobReport
from retentiond.engine.session import Session
from retentiond.engine.standing import behind


@dataclass(frozen=True, slots=True)
class Replay:
    """What a restore of a source means for one job: what came back, in every source that is behind the ledger."""

    job: Job
    came_back: tuple[CameBack, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows came back, by table."""
        return {label: count for back in self.came_back for label, count in back.counts.items()}

    @property
    def whole(self) -> bool:
        """True where everything that could have come back was looked for."""
        return all(back.whole for back in self.came_back)


def replays(jobs: Sequence[Job], source: str, custody: Custody) -> Iterator[Replay]:
    """The jobs of which the source is behind the ledger, each with what came back; nothing is written."""
    for job in jobs:
        if source not in job.sources:
            continue
        where = dict(behind(job, custody))
        if source not in where:
            continue
        with Session(custody.sources, apply=False) as session:
            found = tuple(
                what_came_back(job, one, custody.store, custody.keys, session, seq) for one, seq in where.items()
            )
        yield Replay(job, found)


def mend(source: str, custody: Custody) -> None:
    """Gives a SQLite source that lost its fence a new one, with the identity that it had."""
    pin, dialect = custody.store.pins.of(source), custody.sources.dialect(source)
    if dialect != "sqlite" or pin is None or not custody.sources.fenced(source):
        return
    with errors_of(source), custody.sources.writing(source).connect() as connection, connection.begin():
        if not has_fence(connection, dialect):
            make_sqlite_fence(connection, pin.identity)


def replay(found: Replay, custody: Custody, at: datetime, requested_by: str) -> JobReport:
    """Records what came back and destroys again what of it is due; the report of that run."""
    run = JobRun(found.job, custody.sources, at, custody, lambda _: None, apply=True, came_back=found.came_back)
    return run.report(requested_by)


def unknown_jobs(jobs: Sequence[Job], source: str, custody: Custody) -> list[str]:
    """Jobs that destroyed something in the source and are in no policy any more: nobody can destroy it again."""
    known = {job.name for job in jobs}
    return [name for name in custody.store.intents.known_of_source(source) if name not in known]
