"""Runs and their chunks: what was started, what was committed, how it ended."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, func, insert, select, update
from sqlalchemy.engine import Connection

from retentiond.errors import EvidenceError, UsageError
from retentiond.state import tables as schema
from retentiond.state.faults import store_errors
from retentiond.state.owner import Owner, is_alive, this_process
from retentiond.state.sqlite import WRITES
from retentiond.state.values import ChunkRecord, Counts, Failure, FinalOutcome, JobHistory, JobIdentity, RunRecord

_R = schema.runs.c
_C = schema.chunks.c
_COUNTS = ("due", "held", "floored", "not_started", "suspect", "total", "oldest_due", "counted_at")


class Runs:
    """The part of a store that remembers runs; got as `store.runs`."""

    def __init__(self, engine: Engine, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._writable = writable

    def begin(
        self, job: JobIdentity, *, plan_digest: str, as_of: datetime, now: datetime, requested_by: str = ""
    ) -> str:
        """
        The id of a new run of the job.

        An earlier run of the same job that still says `running` is marked interrupted, unless its process lives on
        this host: whether it may be started beside that one is the engine's to say.
        """
        self._must_write()
        run_id = str(uuid.uuid4())
        me = this_process()
        with store_errors("beginning a run"), self._writer.begin() as connection:
            self._interrupt(connection, job, me, now)
            connection.execute(
                insert(schema.runs).values(
                    id=run_id,
                    policy=job.policy,
                    rule=job.rule,
                    source=job.source,
                    record=job.record,
                    table=job.table,
                    action=job.action,
                    plan_digest=plan_digest,
                    as_of=as_of,
                    started_at=now,
                    outcome="running",
                    done=0,
                    cascade={},
                    requested_by=requested_by,
                    host=me.host,
                    pid=me.pid,
                    born=me.born,
                )
            )
        return run_id

    def add_chunk(self, connection: Connection, new: ChunkRecord) -> None:
        """
        Records one committed transaction, in the transaction that writes its outcome. Recording the same chunk again is
        harmless; recording other counts for it is an EvidenceError.
        """
        self._must_write()
        run = self._row(connection, new.run_id)
        if not _already_there(connection, new):
            connection.execute(insert(schema.chunks).values(_chunk_values(new)))
            cascade = _added(run.cascade, _cascade_of(run, new))
            values = {"done": run.done + new.rows, "cascade": cascade}
            connection.execute(update(schema.runs).where(_R.id == new.run_id).values(values))

    def finish(
        self,
        run_id: str,
        outcome: FinalOutcome,
        *,
        now: datetime,
        counts: Counts | None = None,
        failed: Failure | None = None,
    ) -> None:
        """Record how a run ended. What it did is known from its chunks; the counts are what it was told to leave."""
        self._must_write()
        values: dict[str, Any] = {"outcome": outcome, "finished_at": now}
        if counts is not None:
            values |= {name: getattr(counts, name) for name in _COUNTS}
        if failed is not None:
            values |= {"failed_code": failed.code, "failed_message": failed.message}
        with store_errors("finishing a run"), self._writer.begin() as connection:
            self._row(connection, run_id)
            connection.execute(update(schema.runs).where(_R.id == run_id).values(values))

    def get(self, run_id: str) -> RunRecord:
        """The run of that id, or a UsageError."""
        with store_errors("reading a run"), self._engine.connect() as connection:
            return _record(self._row(connection, run_id))

    def starting_with(self, prefix: str, most: int = 10) -> list[RunRecord]:
        """The newest runs whose id begins so; all do with nothing."""
        query = select(schema.runs).where(_R.id.startswith(prefix, autoescape=True)).order_by(_R.seq.desc()).limit(most)
        with store_errors("reading runs"), self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query)]

    def last(self, policy: str, rule: str, source: str) -> RunRecord | None:
        """The newest run of the job, or None where it never ran."""
        return self._newest(_of_job(policy, rule, source))

    def counts(self, policy: str, rule: str, source: str) -> Counts | None:
        """The counts of the newest run of the job that counted, or None where none did."""
        found = self._newest(_of_job(policy, rule, source) & _R.counted_at.is_not(None))
        return found.counts if found is not None else None

    def takings(self, policy: str, rule: str, source: str, limit: int) -> list[int]:
        """How many rows the last runs of the job did, newest first, of those that did something."""
        which = _of_job(policy, rule, source) & (_R.done > 0)
        query = select(_R.done).where(which).order_by(_R.seq.desc()).limit(limit)
        with store_errors("reading runs"), self._engine.connect() as connection:
            return [int(done) for done in connection.execute(query).scalars()]

    def latest(self) -> list[JobHistory]:
        """For each job that ever ran its last run and its last good one, by policy, rule and source."""
        with store_errors("reading runs"), self._engine.connect() as connection:
            last = {record.job.key: record for record in _newest_of_each(connection, _R.seq > 0)}
            good = {record.job.key: record for record in _newest_of_each(connection, _R.outcome == "done")}
        return [JobHistory(last[key].job, last[key], good.get(key)) for key in sorted(last)]

    def chunks(self, run_id: str) -> list[ChunkRecord]:
        """The chunks of a run in their order."""
        query = select(schema.chunks).where(_C.run_id == run_id).order_by(_C.number)
        with store_errors("reading chunks"), self._engine.connect() as connection:
            return [ChunkRecord(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - its public name

    def _newest(self, which: ColumnElement[bool]) -> RunRecord | None:
        query = select(schema.runs).where(which).order_by(_R.seq.desc()).limit(1)
        with store_errors("reading runs"), self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _record(row)

    def _must_write(self) -> None:
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")

    @staticmethod
    def _row(connection: Connection, run_id: str) -> Row[Any]:
        row = connection.execute(select(schema.runs).where(_R.id == run_id)).one_or_none()
        if row is None:
            raise UsageError(f"no run {run_id} in the state store", code="unknown-run")
        return row

    @staticmethod
    def _interrupt(connection: Connection, job: JobIdentity, me: Owner, now: datetime) -> None:
        running = select(schema.runs).where(_of_job(*job.key), _R.outcome == "running")
        for row in connection.execute(running).all():
            owner = Owner(row.host, row.pid, row.born)
            if owner == me or not is_alive(owner):
                ended = update(schema.runs).where(_R.seq == row.seq).values(outcome="interrupted", finished_at=now)
                connection.execute(ended)


def _of_job(policy: str, rule: str, source: str) -> ColumnElement[bool]:
    return (_R.policy == policy) & (_R.rule == rule) & (_R.source == source)


def _newest_of_each(connection: Connection, which: ColumnElement[bool]) -> list[RunRecord]:
    newest = select(func.max(_R.seq)).where(which).group_by(_R.policy, _R.rule, _R.source)
    rows = connection.execute(select(schema.runs).where(_R.seq.in_(newest))).all()
    return [_record(row) for row in rows]


def _already_there(connection: Connection, new: ChunkRecord) -> bool:
    """True where this chunk was recorded before with the same counts."""
    key = (_C.run_id == new.run_id) & (_C.number == new.number)
    old = connection.execute(select(_C.rows, _C.tables).where(key)).one_or_none()
    if old is not None and (old.rows, old.tables) != (new.rows, new.tables):
        raise EvidenceError(
            f"chunk {new.number} of run {new.run_id} is recorded already, with other counts", code="chunk-twice"
        )
    return old is not None


def _chunk_values(chunk: ChunkRecord) -> dict[str, Any]:
    return {column.name: getattr(chunk, column.name) for column in schema.chunks.c}


def _cascade_of(run: Row[Any], chunk: ChunkRecord) -> dict[str, int]:
    """What went beside the selected rows; of the job's own table, what a self-reference took along."""
    own = f"{run.source}.{run.table}"
    beside = {name: count - chunk.rows if name == own else count for name, count in chunk.tables.items()}
    return {name: count for name, count in beside.items() if count > 0}


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}


def _record(row: Row[Any]) -> RunRecord:
    """The run as a value; one whose process is dead reads as interrupted, though nobody has written that down yet."""
    dead = row.outcome == "running" and is_alive(Owner(row.host, row.pid, row.born)) is False
    return RunRecord(
        id=row.id,
        job=JobIdentity(row.policy, row.rule, row.source, row.record, row.table, row.action),
        plan_digest=row.plan_digest,
        as_of=row.as_of,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome="interrupted" if dead else row.outcome,
        done=row.done,
        cascade=row.cascade,
        counts=Counts(**{name: getattr(row, name) for name in _COUNTS}),
        failed=None if row.failed_code is None else Failure(row.failed_code, row.failed_message or ""),
        requested_by=row.requested_by,
        host=row.host,
        pid=row.pid,
    )
