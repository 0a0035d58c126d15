"""
Who allowed what: approvals of a job's exact plan on an exact schema, with the caps that they release for one run.

An approval counts only while the ledger's leaf of it says the same: a line written into the table by somebody else
counts for nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.engine import Connection

from retentiond.catalog.fingerprint import combined
from retentiond.errors import RefusedError, UsageError
from retentiond.state import tables as schema
from retentiond.state.control import Control
from retentiond.state.faults import store_errors
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.sqlite import WRITES
from retentiond.state.values import Person

# What is due grows between the look and the run; by this much it may, before the approval no longer covers it.
MARGIN = 1.1

_MOST = 50  # of one job: older ones say nothing any more

_A = schema.approvals.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an approval is over: a job's digest, its tables' fingerprints, the rows due, and the caps they exceed."""

    job: str
    digest: str
    tables: Mapping[str, str]
    rows: int
    caps: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """One fingerprint of all tables."""
        return combined(self.tables)


@dataclass(frozen=True, slots=True)
class Approval:
    """
    One approval. `in_force` is False while it waits for a second person; `by_two` where one came; `run` is the one
    that made use of it.
    """

    seq: int
    wanted: Wanted
    given_at: datetime
    given_by: Person
    in_force: bool
    by_two: bool
    run: str | None
    withdrawn: bool

    @property
    def counts(self) -> bool:
        """True where it is in force and was not taken back."""
        return self.in_force and not self.withdrawn

    def is_over(self, digest: str, fingerprint: str) -> bool:
        """True where it is over this plan on this schema."""
        return (self.wanted.digest, self.wanted.fingerprint) == (digest, fingerprint)

    def covers(self, rows: int) -> bool:
        """True where that many rows are no more than were approved, and a little."""
        return rows <= self.wanted.rows * MARGIN


class Approvals:
    """The part of a store that remembers approvals; got as `store.approvals`."""

    def __init__(self, engine: Engine, ledger: Ledger, control: Control, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._ledger = ledger
        self._control = control
        self._writable = writable

    def of(self, job: str) -> tuple[Approval, ...]:
        """The last approvals of a job that the ledger vouches for, newest first; those taken back too."""
        with store_errors("reading approvals"), self._engine.connect() as connection:
            return _of(connection, job)

    def forged(self, job: str) -> int:
        """How many approvals of a job stand in the table, not taken back, of which the ledger knows nothing."""
        query = select(schema.approvals).where((_A.job == job) & _A.withdrawn_at.is_(None))
        with store_errors("reading approvals"), self._engine.connect() as connection:
            return sum(not _vouched(connection, row) for row in connection.execute(query).all())

    def open(self) -> tuple[Approval, ...]:
        """All approvals and requests that nobody took back, newest first."""
        query = select(schema.approvals).where(_A.withdrawn_at.is_(None)).order_by(_A.seq.desc())
        with store_errors("reading approvals"), self._engine.connect() as connection:
            return tuple(_approval(row) for row in connection.execute(query).all() if _vouched(connection, row))

    def standing(self, job: str, digest: str, fingerprint: str, *, by_two: bool = False) -> tuple[Approval, ...]:
        """
        The approvals of this plan on this schema that count now, newest first; with `by_two` those of two people.

        One that was followed by an approval of something else counts no more: an older version of a rule that comes
        back wants an approval again.
        """
        found: list[Approval] = []
        for approval in self.of(job):
            if approval.counts and (approval.by_two or not by_two):
                if not approval.is_over(digest, fingerprint):
                    break
                found.append(approval)
        return tuple(found)

    def give(self, wanted: Wanted, *, by: Person, now: datetime, four_eyes: bool = False) -> Approval:
        """
        The approval, in force unless `four_eyes` wants a second person and this is the first.

        Raises:
            RefusedError: with `four_eyes`, where nobody knows who this is, or it is the first person again.
        """
        self._must_write()
        with store_errors("writing an approval"), self._writer.begin() as connection:
            first = _asked(connection, wanted) if four_eyes else None
            if four_eyes:
                _refuse_one_person(by, first)
            if first is not None:
                return self._second(connection, first, by, now)
            event = "requested" if four_eyes else "given"
            leaf = self._ledger.append(connection, "approval", now, _leaf(event, wanted, by))
            values = _values(wanted) | {
                "tables": dict(wanted.tables),
                "given_at": now,
                "given_by": by.name,
                "login_uid": by.login_uid,
            }
            values |= {"in_force": int(not four_eyes), "leaf": leaf}
            connection.execute(insert(schema.approvals).values(values))
            return _of(connection, wanted.job)[0]

    def use(self, seq: int, run: str) -> None:
        """Notes the run that an approval serves: what it releases, it releases for that one, if it does anything."""
        self._must_write()
        with store_errors("using an approval"), self._writer.begin() as connection:
            connection.execute(update(schema.approvals).where(_A.seq == seq).values(used_by_run=run))

    def withdraw(self, jobs: Sequence[str], *, by: Person, now: datetime) -> tuple[str, ...]:
        """Takes back all approvals and requests of these jobs; the jobs that had one. Wants the gate exclusively."""
        self._must_write()
        had = []
        with store_errors("withdrawing approvals"), self._writer.begin() as connection:
            for job in jobs:
                standing = [approval for approval in _of(connection, job) if not approval.withdrawn]
                gone = {"withdrawn_at": now, "withdrawn_by": by.name}
                which = (_A.job == job) & _A.withdrawn_at.is_(None)
                if connection.execute(update(schema.approvals).where(which).values(gone)).rowcount:
                    had.append(job)
                    for approval in standing:
                        self._ledger.append(connection, "approval", now, _leaf("withdrawn", approval.wanted, by))
            if had:
                self._control.raise_epoch(connection)
        return tuple(had)

    def _second(self, connection: Connection, first: Approval, by: Person, now: datetime) -> Approval:
        leaf = self._ledger.append(connection, "approval", now, _leaf("given", first.wanted, by))
        values = {"second_by": by.name, "second_uid": by.login_uid, "in_force": 1, "leaf": leaf}
        connection.execute(update(schema.approvals).where(_A.seq == first.seq).values(values))
        return next(approval for approval in _of(connection, first.wanted.job) if approval.seq == first.seq)

    def _must_write(self) -> None:
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")


def _of(connection: Connection, job: str) -> tuple[Approval, ...]:
    newest = select(schema.approvals).where(_A.job == job).order_by(_A.seq.desc()).limit(_MOST)
    rows = connection.execute(newest).all()
    return tuple(_approval(row) for row in rows if _vouched(connection, row))


def _asked(connection: Connection, wanted: Wanted) -> Approval | None:
    """What somebody asked for last, where that covers what is wanted now; else None."""
    last = next(iter(_of(connection, wanted.job)), None)
    if last is None or last.in_force or last.withdrawn or not last.is_over(wanted.digest, wanted.fingerprint):
        return None
    return last if set(wanted.caps) <= set(last.wanted.caps) and last.covers(wanted.rows) else None


def _refuse_one_person(by: Person, first: Approval | None) -> None:
    if by.login_uid is None:
        raise RefusedError(
            "two people have to approve this, and the system does not know who you are",
            hint="log in as yourself: the audit login uid (/proc/self/loginuid) is not set in this session",
            code="unknown-person",
        )
    if first is not None and first.given_by.login_uid == by.login_uid:
        raise RefusedError(
            f"you have approved {first.wanted.job} already, and it takes a second person",
            hint="somebody who logs in under another name",
            code="same-person",
        )


def _values(wanted: Wanted) -> dict[str, Any]:
    return {
        "job": wanted.job,
        "digest": wanted.digest,
        "fingerprint": wanted.fingerprint,
        "rows": wanted.rows,
        "guards": list(wanted.caps),
    }


def _leaf(event: str, wanted: Wanted, by: Person) -> dict[str, Any]:
    return {"event": event, **_values(wanted), "by": by.name, "login_uid": by.login_uid}


def _vouched(connection: Connection, row: Row[Any]) -> bool:
    """True where the ledger has a leaf that says what the table says."""
    leaf = connection.execute(select(schema.ledger.c.leaf).where(schema.ledger.c.seq == row.leaf)).scalar_one_or_none()
    if leaf is None:
        return False
    said = json.loads(leaf)
    event = "given" if row.in_force else "requested"
    return (
        said.get("kind") == "approval"
        and said.get("event") == event
        and all(said.get(name) == value for name, value in _values(_wanted(row)).items())
    )


def _wanted(row: Row[Any]) -> Wanted:
    return Wanted(row.job, row.digest, row.tables, row.rows, tuple(row.guards))


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        seq=row.seq,
        wanted=_wanted(row),
        given_at=row.given_at,
        given_by=Person(row.given_by, row.login_uid),
        in_force=bool(row.in_force),
        by_two=row.second_uid is not None,
        run=row.used_by_run,
        withdrawn=row.withdrawn_at is not None,
    )
