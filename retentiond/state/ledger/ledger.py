"""
The ledger in the state store: leaves are appended in the transaction of what they tell of, and never touched again.

Beside them are the frontier of their tree, so that appending costs the same however many there are, and the lists of
tokens, whose hashes the leaves hold.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from retentiond.errors import EvidenceError, RefusedError, UsageError
from retentiond.state import tables as schema
from retentiond.state.faults import store_errors
from retentiond.state.ledger.checkpoint import origin_of
from retentiond.state.ledger.leaf import KINDS, canonical, instant_text, parse
from retentiond.state.ledger.note import VerifierKey
from retentiond.state.ledger.signing import Copy, check_signed, newest, sign_next
from retentiond.state.ledger.token_list import TokenList
from retentiond.state.ledger.tree import Frontier, leaf_hash
from retentiond.state.ledger.verify import Verified, export_lines, verify_store
from retentiond.state.sqlite import WRITES

if TYPE_CHECKING:
    from retentiond.state.keys import KeyRing

BACKWARDS = timedelta(seconds=60)  # by how much the clock may be set back before it is a matter for a person
_AT_ONCE = 1000  # leaves that a reader holds

_L = schema.ledger.c
_H = schema.ledger_head.c
_T = schema.token_lists.c

# Made once: making them takes longer than executing them.
_HEAD = select(schema.ledger_head).with_for_update()
_APPEND = insert(schema.ledger)
_GROW = update(schema.ledger_head)
_OURS = frozenset(("seq", "time", "kind"))

__all__ = ["Head", "Ledger", "TokenList"]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends: its tree, the time of its last leaf, and below what the clock may not fall."""

    frontier: Frontier
    last_time: datetime | None
    clock: datetime | None


class Ledger:
    """The part of a store that cannot be changed; got as `store.ledger`."""

    def __init__(self, engine: Engine, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._writable = writable

    def append(self, connection: Connection, kind: str, now: datetime, fields: Mapping[str, object]) -> int:
        """
        The index of a new leaf, appended in the caller's transaction and durable when that is committed.

        Its time is never before the last leaf's: a clock that went back a little waits there.

        Raises:
            RefusedError: where the clock went back by more than a minute; nothing is appended.
            EvidenceError: where the leaf cannot be written.
        """
        self._must_write(connection)
        if kind not in KINDS or _OURS & set(fields):
            raise ValueError(f"no such leaf: {kind}")
        with store_errors("appending to the ledger"):
            head = self._head(connection)
            # What has happened must be recorded, and what is to be kept is kept, whatever the clock says.
            at_all_times = kind in ("outcome", "hold")
            moment = max(now, head.last_time or now) if at_all_times else _moment(head, now)
            seq = head.frontier.size
            leaf = canonical({**fields, "seq": seq, "time": instant_text(moment), "kind": kind})
            own = leaf_hash(leaf)
            frontier = head.frontier.append(own)
            values = {
                "size": frontier.size,
                "frontier": frontier.to_bytes(),
                "last_time": moment,
                "clock": max(now, head.clock or now),
            }
            connection.execute(_APPEND, {"seq": seq, "leaf": leaf, "hash": own})
            connection.execute(_GROW, values)
        return seq

    def write(self, kind: str, now: datetime, fields: Mapping[str, object]) -> int:
        """The index of a new leaf, durable when this returns."""
        self._must_be_writable()
        with store_errors("appending to the ledger"), self._writer.begin() as connection:
            return self.append(connection, kind, now, fields)

    def accept_clock(self, connection: Connection, now: datetime) -> None:
        """From here on the clock may say this, though it said more before; times in the ledger stay where they are."""
        self._must_write(connection)
        connection.execute(update(schema.ledger_head).values(clock=now))

    def head(self) -> Head:
        """Where the ledger ends."""
        with store_errors("reading the ledger"), self._engine.connect() as connection:
            return self._head(connection)

    @staticmethod
    def _head(connection: Connection) -> Head:
        try:
            row = connection.execute(_HEAD).one_or_none()
            if row is None:
                return Head(Frontier(), None, None)
            return Head(Frontier.from_bytes(row.size, bytes(row.frontier)), row.last_time, row.clock)
        except (TypeError, ValueError):
            raise EvidenceError("the head of the ledger is damaged", code="ledger-damaged") from None

    def size(self) -> int:
        """How many leaves there are."""
        return self.head().frontier.size

    def last_time(self) -> datetime | None:
        """The time of the last leaf; None where there is none."""
        return self.head().last_time

    def leaves(self, start: int = 0) -> Iterator[bytes]:
        """The leaves from that index on, byte for byte, as they were when the first was asked for."""
        query = select(_L.leaf).where(_L.seq >= start).order_by(_L.seq).execution_options(yield_per=_AT_ONCE)
        with store_errors("reading the ledger"), self._engine.connect() as connection:
            for leaf in connection.execute(query).scalars():
                yield bytes(leaf)

    def entries(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """What the leaves from that index on say."""
        for index, leaf in enumerate(self.leaves(start), start):
            try:
                yield parse(leaf)
            except ValueError:
                raise EvidenceError(f"entry {index} of the ledger is damaged", code="ledger-damaged") from None

    def put_tokens(self, connection: Connection, batch: str, lists: Sequence[TokenList], now: datetime) -> None:
        """Keep the tokens of a batch, in the transaction of its intent; an empty list is kept too."""
        self._must_write(connection)
        if not all(one.well_formed() for one in lists):
            raise ValueError("tokens that are not sorted")
        with store_errors("keeping tokens"):
            made_at = _moment(self._head(connection), now)
            for one in lists:
                values = {"batch": batch, "table": one.table, "scheme": one.scheme, "key": one.key}
                connection.execute(insert(schema.token_lists).values(**values, tokens=one.tokens, made_at=made_at))

    def tokens_of(self, batch: str) -> list[TokenList]:
        """The tokens of a batch by table; none where their time is over."""
        query = select(_T.table, _T.scheme, _T.key, _T.tokens).where(_T.batch == batch).order_by(_T.table)
        with store_errors("reading tokens"), self._engine.connect() as connection:
            return [TokenList(row.table, row.scheme, row.key, bytes(row.tokens)) for row in connection.execute(query)]

    def prune_tokens(self, keys: "KeyRing", now: datetime, keep: timedelta) -> int:
        """
        Drop the lists of tokens that are older than `keep`, and the keys of years that have none left; how many lists.

        What went stays in the ledger; which rows they were cannot be told any more. Lists of open intents stay.
        """
        before = now - keep
        pending = select(schema.intents.c.batch).where(schema.intents.c.outcome.is_(None))
        over = (_T.made_at < before) & _T.batch.not_in(pending)
        self._must_be_writable()
        with store_errors("dropping tokens"), self._writer.begin() as connection:
            batches, lists = connection.execute(select(func.count(_T.batch.distinct()), func.count()).where(over)).one()
            if lists:
                connection.execute(delete(schema.token_lists).where(over))
                fields = {"before": instant_text(before), "batches": batches, "lists": lists}
                self.append(connection, "prune", now, fields)
            used = set(connection.execute(select(_T.key).distinct()).scalars())
        for key, year in keys.token_years().items():
            if key not in used and datetime(year + 1, 1, 1, tzinfo=UTC) <= before:
                keys.destroy_tokens(key, now)
        return int(lists)

    def checkpoint(self, keys: "KeyRing", copy_folder: Path | None, now: datetime) -> str:
        """
        The signed checkpoint of the ledger as it is, beside it and, where there is a folder, there too.

        Nothing is signed where nothing was appended since. A folder that missed a checkpoint gets it now.

        Raises:
            EvidenceError: where this ledger is not the one that was signed before, or the folder cannot be written to.
        """
        self._must_be_writable()
        signers = keys.signer()
        copy = None if copy_folder is None else Copy(copy_folder, self.state_id())
        with copy.alone() if copy else nullcontext():
            with store_errors("signing the ledger"), self._writer.begin() as connection:
                frontier = self._head(connection).frontier
                origin = signers[0].verifier.name
                check_signed(connection, frontier, origin, keys.verifiers(), copy.read() if copy else None)
                note = sign_next(connection, frontier, signers, now)
            if copy:
                copy.write(note, keys.verifiers())
        if len(signers) > 1:
            keys.retire_signers()
        return note

    def check_copy(self, keys: "KeyRing", copy_folder: Path | None) -> None:
        """
        Compare the ledger with its last checkpoint and with the copy of it; nothing is written.

        Raises:
            EvidenceError: where this ledger is not the one that was signed.
        """
        state_id = self.state_id()
        copy = Copy(copy_folder, state_id).read() if copy_folder is not None and state_id else None
        with store_errors("reading the ledger"), self._engine.connect() as connection:
            frontier = self._head(connection).frontier
            check_signed(connection, frontier, origin_of(state_id), keys.verifiers(), copy)

    def verify(self, known: Sequence[VerifierKey], copy: str | None = None) -> Verified:
        """
        What the ledger holds, where all of it is in order; `copy` is the checkpoint from the second place.

        Raises:
            EvidenceError: otherwise; the message names the first entry that is wrong.
        """
        origin = origin_of(self.state_id())
        with store_errors("verifying the ledger"), self._engine.connect() as connection:
            return verify_store(connection, origin, known, copy)

    def is_signed(self) -> bool:
        """True where a checkpoint covers all leaves."""
        with store_errors("reading the ledger"), self._engine.connect() as connection:
            size, note = newest(connection)
            return note is not None and size == self._head(connection).frontier.size

    def export(self) -> Iterator[bytes]:
        """The leaves up to the newest checkpoint, and that checkpoint, line by line; nothing where there is none."""
        with store_errors("reading the ledger"), self._engine.connect() as connection:
            size, note = newest(connection)
            if note is not None:
                signed = select(_L.leaf).where(_L.seq < size).order_by(_L.seq)
                leaves = connection.execute(signed.execution_options(yield_per=_AT_ONCE)).scalars()
                yield from export_lines(map(bytes, leaves), note)

    def state_id(self) -> str:
        """The id of the state store, in whose name the ledger signs; empty where there is none yet."""
        with store_errors("reading the identity"), self._engine.connect() as connection:
            return connection.execute(select(schema.identity.c.state_id)).scalar_one_or_none() or ""

    def _must_be_writable(self) -> None:
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")

    def _must_write(self, connection: Connection) -> None:
        self._must_be_writable()
        if not connection.get_execution_options().get(WRITES, False):
            raise ValueError("a leaf belongs in a transaction that was begun to write")


def _moment(head: Head, now: datetime) -> datetime:
    """The time of a leaf that is written now."""
    if head.clock is not None and now < head.clock - BACKWARDS:
        raise RefusedError(
            f"the clock went back: it says {instant_text(now)}, the ledger has {instant_text(head.clock)}",
            hint="set the clock right; if the ledger is wrong, `retentiond approve` releases it",
            code="clock",
        )
    return max(now, head.last_time or now)
