"""
Legal holds: what nobody may destroy, why, and until when somebody looks at it again.

Ids of people are stored sealed. A hold counts as released only where the ledger says so: a line changed in the table
by somebody else frees nothing, and one that does not say what the ledger said of it stops everything.
"""

import hashlib
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Engine, Row, Select, func, insert, select, update

from retentiond.errors import EvidenceError, RefusedError, UsageError
from retentiond.state import tables as schema
from retentiond.state.control import Control
from retentiond.state.faults import store_errors
from retentiond.state.keys import KeyRing, Sealer
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.sqlite import WRITES
from retentiond.state.values import Person

Kind = Literal["proceedings", "legal-obligation", "restriction", "authority"]
Scope = Literal["subject", "record", "source"]

_MARK = b'"kind":"hold"'  # stands in each of our leaves as it is written there

_H = schema.holds.c
_I = schema.hold_ids.c


@dataclass(frozen=True, slots=True)
class NewHold:
    """
    A hold to be placed: on the subjects of a type of a policy, on a record or rows of it, or on a source. `ids` are the
    subjects' ids, or the rows' keys; `matter` is the reference under which it is known, `review` when it is looked at.
    """

    kind: Kind
    scope: Scope
    matter: str
    review: date
    policy: str | None = None
    subject_type: str | None = None
    record: str | None = None
    source: str | None = None
    ids: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold. `count` is the number of its ids, `ids` are they where they were asked for."""

    id: str
    kind: Kind
    scope: Scope
    policy: str | None
    subject_type: str | None
    record: str | None
    source: str | None
    matter: str
    review: date
    added_at: datetime
    added_by: str
    count: int
    release_asked_by: Person | None = None
    released_at: datetime | None = None
    released_by: str | None = None
    ids: tuple[str, ...] = field(default=(), repr=False)

    @property
    def on(self) -> str:
        """What it is on, without ids."""
        match self.scope:
            case "source":
                return f"source {self.source}"
            case "record":
                rows = "" if not self.count else " (1 row)" if self.count == 1 else f" ({self.count:,} rows)"
                return f"{self.policy}/{self.record}{rows}"
            case _:
                return f"{self.policy}: {self.subject_type} ({self.count:,})"

    def overdue(self, today: date) -> bool:
        """True where it should have been looked at by now."""
        return self.released_at is None and self.review < today


class Holds:
    """The part of a store that remembers holds; got as `store.holds`."""

    def __init__(self, engine: Engine, ledger: Ledger, control: Control, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._ledger = ledger
        self._control = control
        self._writable = writable

    def add(self, hold: NewHold, sealer: Sealer, *, by: Person, now: datetime) -> str:
        """The id of the new hold, durable when this returns. Final only behind the gate: `engine.hold_changes`."""
        self._must_write()
        hold_id = str(uuid.uuid4())
        sealed = [
            {"hold_id": hold_id, "number": number, "sealed": sealer.seal(_bound(hold_id, number) + text.encode())}
            for number, text in enumerate(hold.ids)
        ]
        values = _what(hold, hold_id)
        with store_errors("placing a hold"), self._writer.begin() as connection:
            leaf = self._ledger.append(connection, "hold", now, _leaf("added", values, len(sealed), by))
            who = {"added_at": now, "added_by": by.name, "leaf": leaf}
            connection.execute(insert(schema.holds).values(values | who))
            if sealed:
                connection.execute(insert(schema.hold_ids), sealed)
            self._control.raise_epoch(connection)
        return hold_id

    def all(self) -> tuple[Hold, ...]:
        """Every hold there ever was, the newest first, without its ids."""
        with store_errors("reading holds"), self._engine.connect() as connection:
            return tuple(
                _hold(row) for row in connection.execute(_query().order_by(_H.added_at.desc(), _H.leaf.desc()))
            )

    def active(self, keys: KeyRing) -> tuple[Hold, ...]:
        """
        The holds that are in force, with their ids opened.

        Raises:
            RefusedError: where the key is missing. EvidenceError: where the table was tampered with.
        """
        standing = [hold for hold in self.all() if hold.released_at is None]
        if not any(hold.count for hold in standing):
            return tuple(standing)
        ids = self._opened({hold.id for hold in standing}, keys.sealer())
        return tuple(replace(hold, ids=tuple(ids.get(hold.id, ()))) for hold in standing)

    def check_all_there(self) -> None:
        """
        Returns where every hold that the ledger ever told of is remembered; it reads the whole ledger.

        Raises:
            EvidenceError: where somebody removed one.
        """
        known = {hold.id for hold in self.all()}
        for leaf in self._ledger.leaves():
            if _MARK in leaf:
                said = json.loads(leaf)
                if said["kind"] == "hold" and said["hold"] not in known:
                    raise _tampered(said["hold"])

    def release(self, hold_id: str, *, by: Person, now: datetime, four_eyes: bool) -> bool:
        """
        True where the hold is released when this returns; False where a second person has to say so, too.

        Raises:
            UsageError: where there is no such hold, or it was released before.
            RefusedError: with `four_eyes`, where nobody knows who this is, or it is the first person again.
        """
        self._must_write()
        with store_errors("releasing a hold"), self._writer.begin() as connection:
            row = connection.execute(_query().where(_H.id == hold_id)).one_or_none()
            if row is None:
                raise UsageError(f"there is no hold {hold_id}", hint="`retentiond hold list`", code="unknown-hold")
            hold, values = _hold(row), {column.name: getattr(row, column.name) for column in _WHAT}
            if hold.released_at is not None:
                raise UsageError(f"the hold {hold_id} was released before", code="unknown-hold")
            if four_eyes and not _second(hold, by):
                self._ledger.append(connection, "hold", now, _leaf("release-requested", values, hold.count, by))
                asked = {"release_asked_at": now, "release_asked_by": by.name, "release_asked_uid": by.login_uid}
                connection.execute(update(schema.holds).where(_H.id == hold_id).values(asked))
                return False
            leaf = self._ledger.append(connection, "hold", now, _leaf("released", values, hold.count, by))
            gone = {"released_at": now, "released_by": by.name, "released_leaf": leaf}
            connection.execute(update(schema.holds).where(_H.id == hold_id).values(gone))
            self._control.raise_epoch(connection)
        return True

    def _opened(self, wanted: Collection[str], sealer: Sealer) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        query = select(schema.hold_ids).order_by(_I.hold_id, _I.number)
        with store_errors("reading holds"), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            if row.hold_id in wanted:
                text, bound = sealer.open(bytes(row.sealed)), _bound(row.hold_id, row.number)
                if not text.startswith(bound):
                    raise _tampered(row.hold_id)
                found.setdefault(row.hold_id, []).append(text[len(bound) :].decode())
        return found

    def _must_write(self) -> None:
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")


_WHAT = (_H.id, _H.kind, _H.scope, _H.policy, _H.subject_type, _H.record, _H.source, _H.matter, _H.review)


def _what(hold: NewHold, hold_id: str) -> dict[str, Any]:
    return {
        "id": hold_id,
        "kind": hold.kind,
        "scope": hold.scope,
        "policy": hold.policy,
        "subject_type": hold.subject_type,
        "record": hold.record,
        "source": hold.source,
        "matter": hold.matter,
        "review": hold.review.isoformat(),
    }


def _leaf(event: str, values: dict[str, Any], count: int, by: Person) -> dict[str, Any]:
    """What the ledger says of a hold: neither ids nor the matter's own words."""
    names = {"id": "hold", "kind": "hold_kind"}
    said = {names.get(name, name): value for name, value in values.items()}
    said["matter"] = hashlib.sha256(values["matter"].encode()).hexdigest()
    return {"event": event, **said, "subjects": count, "by": by.name, "login_uid": by.login_uid}


def _bound(hold_id: str, number: int) -> bytes:
    """What ties a sealed id to its place: one that was moved is found out."""
    return f"{hold_id}/{number}\n".encode()


def _second(hold: Hold, by: Person) -> bool:
    """True where somebody else asked for the release before."""
    if by.login_uid is None:
        raise RefusedError(
            "two people have to release a hold, and the system does not know who you are",
            hint="log in as yourself: the audit login uid (/proc/self/loginuid) is not set in this session",
            code="unknown-person",
        )
    first = hold.release_asked_by
    if first is not None and first.login_uid == by.login_uid:
        raise RefusedError(
            f"you have asked to release the hold {hold.id} already, and it takes a second person",
            hint="somebody who logs in under another name",
            code="same-person",
        )
    return first is not None


def _query() -> Select[Any]:
    """Each hold with the number of its ids and the leaves that vouch for it."""
    counted = select(func.count()).where(_I.hold_id == _H.id).scalar_subquery()
    added, released = schema.ledger.alias("added"), schema.ledger.alias("released")
    return select(
        schema.holds,
        counted.label("ids"),
        added.c.leaf.label("added_leaf"),
        released.c.leaf.label("release_leaf"),
    ).select_from(
        schema.holds.outerjoin(added, added.c.seq == _H.leaf).outerjoin(released, released.c.seq == _H.released_leaf)
    )


def _hold(row: Row[Any]) -> Hold:
    """The hold as the ledger vouches for it."""
    values = {column.name: getattr(row, column.name) for column in _WHAT}
    if not _said(row.added_leaf, "added", values, row.ids):
        raise _tampered(row.id)
    released = _said(row.release_leaf, "released", values, row.ids)
    asked = None if row.release_asked_by is None else Person(row.release_asked_by, row.release_asked_uid)
    return Hold(
        **(values | {"review": date.fromisoformat(row.review)}),
        added_at=row.added_at,
        added_by=row.added_by,
        count=row.ids,
        release_asked_by=asked,
        released_at=row.released_at if released else None,
        released_by=row.released_by if released else None,
    )


def _said(leaf: bytes | None, event: str, values: dict[str, Any], count: int) -> bool:
    """True where the leaf says this of the hold."""
    if leaf is None:
        return False
    said, wanted = json.loads(leaf), _leaf(event, values, count, Person("", None))
    names = wanted.keys() - {"by", "login_uid"}
    return said.get("kind") == "hold" and all(said.get(name) == wanted[name] for name in names)


def _tampered(hold_id: str) -> EvidenceError:
    return EvidenceError(
        f"the hold {hold_id} is not what the ledger says of it",
        hint="somebody changed the state store: restore it before anything else goes",
        code="hold-damaged",
    )
