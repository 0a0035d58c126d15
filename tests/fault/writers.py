"""The company at work while victims run and die: rows touched, re-opened, inserted, deleted; the journal is told."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from tests.fault.arena import LATELY, LONG_AGO, MASKED, Arena
from tests.fault.journal import Entry

Act = Callable[[Arena, sa.Connection, random.Random], list[Entry]]


class Writer:
    """One thread that changes rows, with a little pause between two changes; use as a context manager."""

    def __init__(self, arena: Arena, *, seed: int, pause: float = 0.02, acts: Iterable[str] = ()) -> None:
        self.arena, self.pause = arena, pause
        self._random = random.Random(seed)
        self._chosen = list(acts or ACTS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.done: Counter[str] = Counter()
        self.refused = 0
        self._broken: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the writer hangs"
        if self._broken is not None and error is None:
            raise self._broken

    def _work(self) -> None:
        try:
            while not self._over.wait(self.pause):
                self._act(self._random.choice(self._chosen))
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for this one
            self._broken = error

    def _act(self, name: str) -> None:
        """One transaction. The journal is told only what the database has confirmed."""
        entries: list[Entry] = []
        asked = False
        try:
            with self.arena.engine("crm").connect() as connection:
                transaction = connection.begin()
                entries = (ACTS | LOCKING)[name](self.arena, connection, self._random)
                if not entries:
                    transaction.rollback()
                    return
                asked = True
                transaction.commit()
        except sa.exc.DBAPIError:  # a lock, a deadlock, a server that went
            self.refused += 1
            if asked:
                self.arena.journal.doubt(entries)
            return
        self.arena.journal.tell(entries)
        self.done[name] += 1


def _one(arena: Arena, table: str, chance: random.Random) -> int | None:
    """Some row that may be due."""
    ids = arena.journal.due(table)
    return chance.choice(ids) if ids else None


def _next(connection: sa.Connection, table: str, clock: str, chance: random.Random) -> int | None:
    """A row that is due and whose turn comes soon: the one that retentiond may be at."""
    ids = _ids(connection, f"SELECT id FROM {table} WHERE {clock} = '{LONG_AGO}' ORDER BY id LIMIT 6")
    return chance.choice(ids) if ids else None


def _changed(connection: sa.Connection, statement: str) -> int:
    return connection.exec_driver_sql(statement).rowcount


def _ids(connection: sa.Connection, query: str) -> list[int]:
    return [int(row[0]) for row in connection.exec_driver_sql(query)]


def _list(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids)) or "NULL"


def _touch_visit(arena: Arena, connection: sa.Connection, chance: random.Random) -> list[Entry]:
    """A visit that is due becomes a recent one."""
    one = chance.choice((_one(arena, "visits", chance), _next(connection, "visits", "seen_at", chance)))
    if one is None or not _changed(connection, f"UPDATE visits SET seen_at = '{LATELY}' WHERE id = {one}"):
        return []
    return [Entry("revived", "visits", frozenset([one]))]


def _touch_letter(arena: Arena, connection: sa.Connection, chance: random.Random) -> list[Entry]:
    """A letter that is due, and not masked yet, becomes a recent one."""
    one = chance.choice((_one(arena, "letters", chance), _next(connection, "letters", "sent_at", chance)))
    statement = f"UPDATE letters SET sent_at = '{LATELY}' WHERE id = {one} AND name <> '{MASKED}'"
    if one is None or not _changed(connection, statement):
        return []
    return [Entry("revived", "letters", frozenset([one]))]


def _family(connection: sa.Connection, customer: int, *, near: bool) -> list[Entry]:
    """A customer with all that belongs to it in this database, revived."""
    contracts = _ids(connection, f"SELECT id FROM contracts WHERE customer_id = {customer}")
    entries = [
        Entry("revived", "customers", frozenset([customer])),
        Entry("revived", "contracts", frozenset(contracts)),
    ]
    if near:
        documents = _ids(connection, f"SELECT id FROM documents WHERE contract_id IN ({_list(contracts)})")
        entries.append(Entry("revived", "documents", frozenset(documents)))
    return entries


def _reopen(arena: Arena, connection: sa.Connection, chance: random.Random) -> list[Entry]:
    """A contract runs again: its customer stays, with all that belongs to it."""
    one = chance.choice((_one(arena, "contracts", chance), _next(connection, "contracts", "ended_at", chance)))
    if one is None or not _changed(connection, f"UPDATE contracts SET ended_at = NULL WHERE id = {one}"):
        return []
    (customer,) = _ids(connection, f"SELECT customer_id FROM contracts WHERE id = {one}")
    return _family(connection, customer, near=arena.far == "crm")


def _new_contract(arena: Arena, connection: sa.Connection, chance: random.Random) -> list[Entry]:
    """A customer whose contracts have all ended signs another one."""
    customer = _one(arena, "customers", chance)
    if customer is None:
        return []
    (number,) = arena.new_ids(1)
    try:
        _changed(connection, f"INSERT INTO contracts VALUES ({number}, {customer}, NULL)")
    except sa.exc.IntegrityError:  # the customer has gone
        return []
    made = Entry("made live", "contracts", frozenset([number]))
    return [made, *_family(connection, customer, near=arena.far == "crm")]


def _new_visits(arena: Arena, connection: sa.Connection, chance: random.Random) -> list[Entry]:
    """Two visits: an old one that came late, and a recent one."""
    late, new = arena.new_ids(2)
    _changed(connection, f"INSERT INTO visits VALUES ({late}, '{LONG_AGO}', 'n'), ({new}, '{LATELY}', 'n')")
    return [Entry("made due", "visits", frozenset([late])), Entry("made live", "visits", frozenset([new]))]


def _take_visit(arena: Arena, connection: sa.Connection, chance: random.Random) -> list[Entry]:
    """The company deletes a visit itself."""
    one = _one(arena, "visits", chance)
    if one is None or not _changed(connection, f"DELETE FROM visits WHERE id = {one}"):
        return []
    return [Entry("took", "visits", frozenset([one]))]


def _take_customer(arena: Arena, connection: sa.Connection, chance: random.Random) -> list[Entry]:
    """The company deletes a customer with all that belongs to it, or nothing."""
    customer = _one(arena, "customers", chance)
    if customer is None or arena.far != "crm":
        return []
    contracts = _ids(connection, f"SELECT id FROM contracts WHERE customer_id = {customer}")
    documents = _ids(connection, f"SELECT id FROM documents WHERE contract_id IN ({_list(contracts)})")
    entries = []
    for table, ids in (("documents", documents), ("contracts", contracts), ("customers", [customer])):
        if _changed(connection, f"DELETE FROM {table} WHERE id IN ({_list(ids)})") != len(ids):
            return []  # somebody was faster
        entries.append(Entry("took", table, frozenset(ids)))
    return entries


def _cross(arena: Arena, connection: sa.Connection, chance: random.Random) -> list[Entry]:
    """Locks a contract and then its customer, the other way round than retentiond does; changes nothing."""
    one = _next(connection, "contracts", "ended_at", chance)
    if one is None:
        return []
    _changed(connection, f"UPDATE contracts SET ended_at = ended_at WHERE id = {one}")
    time.sleep(0.02)
    _changed(connection, f"UPDATE customers SET name = name WHERE id = {arena.contracts[one]}")
    return []


LOCKING: dict[str, Act] = {"cross": _cross}
"""Acts that only stand in the way; a test asks for them by name."""

ACTS: dict[str, Act] = {
    "touch-visit": _touch_visit,
    "touch-letter": _touch_letter,
    "reopen": _reopen,
    "new-contract": _new_contract,
    "new-visits": _new_visits,
    "take-visit": _take_visit,
    "take-customer": _take_customer,
}
