"""A few keys of due rows, for a person who wants to look at what would go."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from retentiond.compiler.plan import Job
from retentiond.engine.chunk import Workshop, due_keys
from retentiond.engine.pages import pages
from retentiond.engine.session import Session
from retentiond.engine.sources import Sources


def sample_keys(job: Job, sources: Sources, at: datetime, count: int) -> list[tuple[Any, ...]]:
    """The keys of up to `count` due rows, in key order. Keys may identify a person: show them to nobody else."""
    return list(_first(_due(job, sources, at), count))


def _due(job: Job, sources: Sources, at: datetime) -> Iterator[tuple[Any, ...]]:
    with Session(sources, apply=False) as session:
        workshop = Workshop(job, at, session, b"", sources.chunk_rows(job.source))
        for keys in pages(job, at, session, workshop.batch):
            yield from due_keys(workshop, keys)


def _first(keys: Iterator[tuple[Any, ...]], count: int) -> Iterator[tuple[Any, ...]]:
    for _, key in zip(range(count), keys, strict=False):
        yield key
