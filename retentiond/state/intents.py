"""
Intents and outcomes: what a chunk is about to do, made durable before its source commits, and what became of it.

Each intent has one outcome. Both are leaves of the ledger; the tables beside it say quickly which intents are open and
how far each fence has been told of.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, Row, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from retentiond.errors import EvidenceError, RefusedError, UsageError
from retentiond.state import tables as schema
from retentiond.state.faults import store_errors
from retentiond.state.ledger.ledger import Ledger, TokenList
from retentiond.state.owner import Owner, this_process
from retentiond.state.runs import Runs
from retentiond.state.sqlite import WRITES
from retentiond.state.values import ChunkRecord

_I = schema.intents.c
_F = schema.fences.c

_RESTORES = uuid.UUID("5c1f2f0e-5d0a-4f0c-9a43-7d1f6a0f3f0b")  # a namespace, made at random

Mode = Literal["fence", "probe"]
Status = Literal["destroyed", "changed", "aborted", "unresolved"]
Evidence = Literal["fence", "recovered", "probe"]


@dataclass(frozen=True, slots=True)
class FenceStep:
    """A source's fence as it stood before a chunk moved it."""

    source: str
    seq: int


@dataclass(frozen=True, slots=True)
class Effect:
    """
    What a chunk is to do: `tables` by the ledger's label (source.schema.table), `shown` the same by the label that
    people read (source.table), `rows` of the job's own selection; `number` counts the chunks of a run from 1.
    """

    tables: Mapping[str, int]
    shown: Mapping[str, int]
    rows: int
    number: int
    retries: int = 0

    def only(self, sources: Sequence[str], own: str) -> "Effect":
        """The part of it that lies in these sources; `own` is the job's."""
        kept = {f"{source}." for source in sources}

        def part(counts: Mapping[str, int]) -> dict[str, int]:
            return {label: count for label, count in counts.items() if label[: label.index(".") + 1] in kept}

        rows = self.rows if own in sources else 0
        return Effect(part(self.tables), part(self.shown), rows, self.number, self.retries)


@dataclass(frozen=True, slots=True)
class Planned:
    """A chunk that is about to be committed. `probe` are the sealed keys of its rows, where no fence can tell."""

    batch: str
    run_id: str
    job: str
    action: str
    mode: Mode
    fences: tuple[FenceStep, ...]
    effect: Effect
    probe: bytes | None = field(default=None, repr=False)

    @property
    def source(self) -> str:
        """The job's own source."""
        return self.job.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Intent:
    """A chunk that may have been committed; open until an outcome says whether it was. `seq` is its leaf's."""

    planned: Planned
    seq: int
    owner: Owner
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Restored:
    """
    What a restored back-up brought back of one job in one source: rows by the ledger's label. `fence` is where the
    source's fence stood, `known` where it should have; `lost` is True where not everything could be looked for.
    """

    job: str
    source: str
    fence: int
    known: int
    tables: Mapping[str, int]
    lost: bool

    @property
    def batch(self) -> str:
        """An id that this restore has, and no other."""
        return str(uuid.uuid5(_RESTORES, f"{self.job}/{self.source}/{self.known}"))

    def leaf(self) -> dict[str, object]:
        """The fields of the ledger's leaf."""
        return asdict(self) | {"tables": dict(self.tables), "batch": self.batch, "event": "source-restored"}


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of an intent: what of its effect is true, and where the fences stand now."""

    status: Status
    effect: Effect
    evidence: Evidence
    fences: tuple[FenceStep, ...]
    seconds: float = 0.0


class Intents:
    """The part of a store that remembers intents; got as `store.intents`."""

    def __init__(self, engine: Engine, ledger: Ledger, runs: Runs, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._ledger = ledger
        self._runs = runs
        self._writable = writable

    def open(self, planned: Planned, tokens: Sequence[TokenList], facts: Mapping[str, object], now: datetime) -> Intent:
        """
        The intent, durable when this returns. `facts` are the further fields of its leaf.

        Raises:
            RefusedError: where the job has an open intent already.
            EvidenceError: where it cannot be written.
        """
        self._must_write()
        me = this_process()
        with store_errors("writing an intent"), self._writer.begin() as connection:
            if connection.execute(select(_I.batch).where((_I.job == planned.job) & _I.outcome.is_(None))).first():
                raise RefusedError(f"{planned.job} has a chunk whose end is not known yet", code="unresolved")
            seq = self._ledger.append(connection, "intent", now, {**_leaf(planned, tokens), **facts})
            self._ledger.put_tokens(connection, planned.batch, tokens, now)
            values = {
                "batch": planned.batch,
                "run_id": planned.run_id,
                "job": planned.job,
                "seq": seq,
                "action": planned.action,
                "mode": planned.mode,
                "fences": _steps(planned.fences),
                "tables": asdict(planned.effect),
                "probe": planned.probe,
                "opened_at": now,
                "host": me.host,
                "pid": me.pid,
                "born": me.born,
            }
            try:
                connection.execute(insert(schema.intents).values(values))
            except IntegrityError:
                raise EvidenceError(f"batch {planned.batch} is in the ledger twice", code="intent-twice") from None
        return Intent(planned, seq, me, now)

    def close(self, intent: Intent, ending: Ending, now: datetime) -> None:
        """
        Records what became of the intent: the outcome's leaf, its run's chunk and how far the fences are, together.

        Saying the same again is harmless; saying something else is an EvidenceError.
        """
        self._must_write()
        planned = intent.planned
        with store_errors("writing an outcome"), self._writer.begin() as connection:
            row = connection.execute(select(schema.intents).where(_I.batch == planned.batch)).one_or_none()
            if row is None:
                raise EvidenceError(f"batch {planned.batch} has no intent", code="outcome-alone")
            if row.outcome is not None:
                if row.outcome != ending.status:
                    raise EvidenceError(
                        f"batch {planned.batch} ended {row.outcome} and {ending.status}: both cannot be",
                        code="outcome-twice",
                    )
                return
            self._ledger.append(connection, "outcome", now, _outcome(intent, ending))
            settled = {"outcome": ending.status, "settled_at": now, "probe": None}
            connection.execute(update(schema.intents).where(_I.batch == planned.batch).values(settled))
            self.tell(connection, planned.job, ending.fences)
            if ending.status in ("destroyed", "changed"):
                effect = ending.effect
                chunk = ChunkRecord(
                    planned.run_id,
                    effect.number,
                    now,
                    effect.rows,
                    dict(effect.shown),
                    ending.seconds,
                    effect.retries,
                )
                self._runs.add_chunk(connection, chunk)

    def disown(self, intent: Intent) -> None:
        """Leaves an open intent to whoever settles it first."""
        self._must_write()
        nobody = {"host": "", "pid": 0, "born": ""}
        with store_errors("leaving an intent"), self._writer.begin() as connection:
            connection.execute(update(schema.intents).where(_I.batch == intent.planned.batch).values(nobody))

    def restored(self, back: Restored, run_id: str, action: str, now: datetime) -> None:
        """
        Records what a restored back-up brought back: once for each restore, however often it is said.

        What came back of deleted rows has an outcome of its own, so that the sum of all is what is gone.
        """
        self._must_write()
        with store_errors("writing what came back"), self._writer.begin() as connection:
            if connection.execute(select(_I.batch).where(_I.batch == back.batch)).first():
                return
            seq = self._ledger.append(connection, "restore", now, back.leaf())
            if action == "delete" and back.tables:
                outcome = {
                    "run": run_id,
                    "batch": back.batch,
                    "job": back.job,
                    "status": "restored",
                    "action": action,
                    "tables": dict(back.tables),
                    "evidence": "fence",
                    "restore": seq,
                }
                self._ledger.append(connection, "outcome", now, outcome)
            me = this_process()
            values = {"batch": back.batch, "run_id": run_id, "job": back.job, "seq": seq, "action": action}
            values |= {"mode": "fence", "fences": [], "tables": asdict(Effect(back.tables, {}, 0, 0))}
            values |= {"opened_at": now, "settled_at": now, "outcome": "restored"}
            values |= {"host": me.host, "pid": me.pid, "born": me.born}
            connection.execute(insert(schema.intents).values(values))

    def told(self, job: str, steps: Sequence[FenceStep]) -> None:
        """Notes where the fences of a job are now; durable when this returns."""
        self._must_write()
        with store_errors("noting a fence"), self._writer.begin() as connection:
            self.tell(connection, job, steps)

    def give_up(self, connection: Connection, now: datetime) -> None:
        """Ends every open intent in the caller's transaction as one of which nobody will ever know more."""
        for row in connection.execute(select(schema.intents).where(_I.outcome.is_(None))).all():
            intent = _intent(row)
            nothing = Ending("unresolved", intent.planned.effect.only((), ""), "recovered", intent.planned.fences)
            self._ledger.append(connection, "outcome", now, _outcome(intent, nothing))
            settled = {"outcome": nothing.status, "settled_at": now, "probe": None}
            connection.execute(update(schema.intents).where(_I.batch == intent.planned.batch).values(settled))

    def open_of(self, job: str) -> Intent | None:
        """The job's open intent, or None."""
        found = self._where((_I.job == job) & _I.outcome.is_(None))
        return found[0] if found else None

    def all_open(self) -> list[Intent]:
        """All open intents, oldest first."""
        return self._where(_I.outcome.is_(None))

    def known(self, job: str) -> dict[str, int]:
        """By source how far the outcomes told that the job's fence is."""
        query = select(_F.source, _F.seq).where(_F.job == job)
        with store_errors("reading fences"), self._engine.connect() as connection:
            return {row.source: row.seq for row in connection.execute(query)}

    def known_of_source(self, source: str) -> dict[str, int]:
        """By job how far its fence in that source is known to be."""
        query = select(_F.job, _F.seq).where(_F.source == source).order_by(_F.job)
        with store_errors("reading fences"), self._engine.connect() as connection:
            return {row.job: row.seq for row in connection.execute(query)}

    def tell(self, connection: Connection, job: str, steps: Sequence[FenceStep]) -> None:
        """Notes, in a transaction of the store, where the fences of a job are now; they never go back."""
        for step in steps:
            which = (_F.job == job) & (_F.source == step.source)
            known = connection.execute(select(_F.seq).where(which)).scalar_one_or_none()
            if known is None:
                connection.execute(insert(schema.fences).values(job=job, source=step.source, seq=step.seq))
            elif step.seq > known:
                connection.execute(update(schema.fences).where(which).values(seq=step.seq))

    def _where(self, condition: ColumnElement[bool]) -> list[Intent]:
        query = select(schema.intents).where(condition).order_by(_I.seq)
        with store_errors("reading intents"), self._engine.connect() as connection:
            return [_intent(row) for row in connection.execute(query)]

    def _must_write(self) -> None:
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")


def new_batch() -> str:
    """An id that no other chunk has."""
    return str(uuid.uuid4())


def _steps(fences: Sequence[FenceStep]) -> list[dict[str, object]]:
    return [{"source": step.source, "seq": step.seq} for step in fences]


def _leaf(planned: Planned, tokens: Sequence[TokenList]) -> dict[str, object]:
    return {
        "run": planned.run_id,
        "batch": planned.batch,
        "job": planned.job,
        "action": planned.action,
        "mode": planned.mode,
        "fences": _steps(planned.fences),
        "tables": dict(planned.effect.tables),
        "tokens": [
            {"table": one.table, "scheme": one.scheme, "key": one.key, "sha256": one.sha256, "count": one.count}
            for one in tokens
        ],
    }


def _outcome(intent: Intent, ending: Ending) -> dict[str, object]:
    planned = intent.planned
    return {
        "run": planned.run_id,
        "batch": planned.batch,
        "job": planned.job,
        "status": ending.status,
        "action": planned.action,
        "tables": dict(ending.effect.tables),
        "evidence": ending.evidence,
        "intent": intent.seq,
        "fences": _steps(ending.fences),
    }


def _intent(row: Row[Any]) -> Intent:
    planned = Planned(
        batch=row.batch,
        run_id=row.run_id,
        job=row.job,
        action=row.action,
        mode=row.mode,
        fences=tuple(FenceStep(**step) for step in row.fences),
        effect=Effect(**row.tables),
        probe=row.probe,
    )
    return Intent(planned, row.seq, Owner(row.host, row.pid, row.born), row.opened_at)
