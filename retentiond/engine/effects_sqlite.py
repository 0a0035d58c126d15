"""
SQLite counts all rows that a connection has changed: by statements, triggers, foreign keys and full-text indexes alike.

Where the sum is larger than what our statements reported, SQLite is asked what these statements reach: it says so of
every statement that it prepares. The transaction holds the file, so the schema is the one they met.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from retentiond.catalog.faults import errors_of
from retentiond.catalog.reflection import read_inside
from retentiond.compiler.tables import table_of
from retentiond.engine.effects_causes import undeclared_keys
from retentiond.engine.effects_values import Share, What, Widening
from retentiond.engine.session import Transaction

_TOTAL = sa.text("SELECT total_changes()")
_TRIGGERS = sa.text("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")

Verb = Literal["INSERT", "UPDATE", "DELETE"]
_WORDS: dict[Verb, What] = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
_VERBS: dict[int, Verb] = {
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}


@dataclass(frozen=True, slots=True)
class Reached:
    """A change that a statement brings about by itself; `trigger` is None where a foreign key does it."""

    verb: Verb
    table: str
    trigger: str | None


def counters(transaction: Transaction, source: str) -> tuple[int]:
    """The rows that this connection has changed since it was opened."""
    return (int(transaction.fetch(source, _TOTAL)[0][0]),)


def widenings(transaction: Transaction, share: Share, before: tuple[int, ...], own_updates: int) -> list[Widening]:
    """What was changed beyond the share: the sum, and what may have made it up."""
    rows = counters(transaction, share.source)[0] - before[0] - own_updates
    rows -= sum(share.deleted.values()) + sum(share.updated.values())
    if rows == 0:
        return []
    with errors_of(share.source):
        triggers = {row.name: _digest(row.sql) for row in transaction.fetch(share.source, _TRIGGERS)}
        beside = _reached(transaction, share)
        unknown = [one for one in beside if not _is_known(one, share, triggers)]
        catalog = read_inside(transaction.session.connection(share.source, writes=True), share.source)
    stirring = any(one.trigger for one in beside)
    if rows > 0 and stirring and not unknown and not undeclared_keys(catalog, share):
        return []
    return [Widening(None, "changed", rows), *(_named(one) for one in unknown)]


def _is_known(one: Reached, share: Share, triggers: Mapping[str, str]) -> bool:
    """
    True for an update in the job's tables by a trigger that the plan knows as it is. A foreign key that leads to a
    table of the job is looked at by its columns.
    """
    if one.trigger is None:
        return one.table in share.deleted
    known = {(stir.trigger, stir.digest) for step in share.steps for stir in step.stirs}
    stirs = one.table in share.stirred and (one.trigger, triggers.get(one.trigger)) in known
    return one.verb == "UPDATE" and stirs


def _named(one: Reached) -> Widening:
    return Widening(one.table, _WORDS[one.verb], None, f"the trigger {one.trigger}" if one.trigger else "")


def _reached(transaction: Transaction, share: Share) -> list[Reached]:
    """What our statements reach beside their own rows, whether or not there was a row."""
    connection = transaction.session.connection(share.source, writes=True)
    found: dict[Reached, None] = {}
    for statement, own in _statements(share):
        text = str(statement.compile(dialect=connection.dialect))
        found |= dict.fromkeys(one for one in _prepared(connection.connection.dbapi_connection, text) if one != own)
    return list(found)


def _digest(sql: str) -> str:
    return hashlib.sha256(sql.encode("utf-8", "surrogateescape")).hexdigest()


def _statements(share: Share) -> Iterator[tuple[sa.Delete | sa.Update, Reached]]:
    """Statements that reach what ours did, and what they change themselves. They are prepared and never carried out."""
    tables = {step.relation.name: table_of(step.relation) for step in share.steps}
    for name, table in tables.items():
        assert isinstance(table, sa.TableClause)
        if share.deleted[name]:
            yield sa.delete(table), Reached("DELETE", name, None)
        if share.updated[name]:
            values = {table.c[column]: sa.null() for column in share.columns(name)}
            yield sa.update(table).values(values), Reached("UPDATE", name, None)


def _prepared(connection: Any, statement: str) -> list[Reached]:
    """What a statement would change, as SQLite names it while it prepares it."""
    found: list[Reached] = []

    def note(action: int, table: str | None, _column: str | None, _database: str | None, by: str | None) -> int:
        if action in _VERBS and table is not None:
            found.append(Reached(_VERBS[action], table, by))
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        connection.execute(f"EXPLAIN {statement}").fetchall()
    finally:
        connection.set_authorizer(None)
    return found
