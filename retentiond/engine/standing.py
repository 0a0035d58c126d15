"""Where the fences of jobs stand in their sources, and where the ledger believes them to be."""

from collections.abc import Iterator, Sequence

from retentiond.catalog.faults import errors_of
from retentiond.compiler.plan import Job
from retentiond.engine import fence
from retentiond.engine.custody import Custody
from retentiond.engine.prepare import has_fence
from retentiond.errors import RetentiondError
from retentiond.state.continuation import Gap


def standing(source: str, job: str, custody: Custody) -> int:
    """Where the job's fence stands; 0 where there is none yet, or the back-up was made before there was one."""
    dialect = custody.sources.dialect(source)
    with errors_of(source), custody.sources.reading(source).connect() as connection, connection.begin():
        if not has_fence(connection, dialect):
            return 0
    found = fence.standing(custody.sources, source, dialect, fence.fence_key(custody.state_id, job))
    return 0 if found is None else found.seq


def behind(job: Job, custody: Custody) -> Iterator[tuple[str, int]]:
    """The sources whose fence is behind the ledger, and where it stands there."""
    for source, known in custody.store.intents.known(job.name).items():
        if source in job.sources and custody.sources.fenced(source):
            seq = standing(source, job.name, custody)
            if seq < known:
                yield source, seq


def gaps(jobs: Sequence[Job], custody: Custody) -> list[Gap]:
    """The jobs whose fence is ahead of the ledger, in the sources that can be asked."""
    found = []
    for job in jobs:
        known = custody.store.intents.known(job.name)
        for source in job.sources:
            if not custody.sources.fenced(source):
                continue
            try:
                seq = standing(source, job.name, custody)
            except RetentiondError:
                continue
            if seq > known.get(source, 0):
                found.append(Gap(job.name, source, known.get(source, 0), seq))
    return found
