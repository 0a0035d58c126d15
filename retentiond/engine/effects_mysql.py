"""
MariaDB and MySQL count the rows that a session has deleted, updated and inserted, triggers included. Of what InnoDB's
foreign keys take along the server learns nothing.

So foreign keys are looked at again after the change, in InnoDB's own list, which takes the PROCESS right: creating one
does not wait for our transaction (measured on MariaDB 10.11), and one that came before our last statement is seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from retentiond.catalog.faults import errors_of
from retentiond.catalog.model import Dialect, Trigger
from retentiond.catalog.mysql_keys import decoded
from retentiond.catalog.reflect_mysql import triggers_of
from retentiond.compiler.plan import Relation
from retentiond.engine.effects_values import Share, Widening
from retentiond.engine.session import Transaction
from retentiond.errors import FailedError

_COUNTERS = sa.text("SHOW SESSION STATUS WHERE Variable_name IN ('Handler_delete', 'Handler_update', 'Handler_write')")
_PARTITIONED = sa.text("""
    SELECT TABLE_NAME AS name
      FROM information_schema.TABLES
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN :names AND CREATE_OPTIONS LIKE '%partitioned%'
""").bindparams(sa.bindparam("names", expanding=True))

_KEYS = """
    SELECT ID AS id, FOR_NAME AS child, REF_NAME AS parent, TYPE AS flags
      FROM information_schema.{0}
     WHERE REF_NAME IN :parents
     ORDER BY ID
"""
_KEY_COLUMNS = """
    SELECT ID AS id, FOR_COL_NAME AS child_column, REF_COL_NAME AS parent_column
      FROM information_schema.{0}
     WHERE ID IN :ids
"""
_VIEWS = {
    "mariadb": ("INNODB_SYS_FOREIGN", "INNODB_SYS_FOREIGN_COLS"),
    "mysql": ("INNODB_FOREIGN", "INNODB_FOREIGN_COLS"),
}
_MAY_SEE = "SELECT 1 FROM information_schema.{0} LIMIT 1"
_ACCESS_DENIED = "1227"

# InnoDB names tables as their files are named. The server alone knows that encoding.
_ENCODED = sa.text("""
    SELECT CAST(CONVERT(DATABASE() USING filename) AS BINARY) AS folder,
           CAST(CONVERT(:name USING filename) AS BINARY) AS file, @@lower_case_table_names AS folding
""")
_ON_DELETE, _ON_UPDATE = 1 | 2, 4 | 8
_ACTIONS = {1: "ON DELETE CASCADE", 2: "ON DELETE SET NULL", 4: "ON UPDATE CASCADE", 8: "ON UPDATE SET NULL"}


@dataclass(frozen=True, slots=True)
class Tables:
    """What must be known of a job's tables in one source: `encoded` leads from InnoDB's name to ours."""

    dialect: Dialect
    partitioned: frozenset[str]
    encoded: Mapping[str, str]
    folded: bool
    sees_keys: bool

    def relation(self, encoded: str) -> str | None:
        """Our name of a table of the job, None for another one."""
        return self.encoded.get(encoded.lower() if self.folded else encoded)


def tables(transaction: Transaction, source: str, relations: Sequence[Relation]) -> Tables:
    """What must be known of these tables; asked once for a job."""
    names = [relation.name for relation in relations]
    dialect = relations[0].dialect
    partitioned = transaction.fetch(source, _PARTITIONED.bindparams(names=names))
    encoded, folded = {}, False
    for name in names:
        row = transaction.fetch(source, _ENCODED.bindparams(name=name))[0]
        folded = bool(row.folding)
        path = f"{_text(row.folder)}/{_text(row.file)}"
        encoded[path.lower() if folded else path] = name
    sees = _sees_keys(transaction, source, dialect)
    return Tables(dialect, frozenset(row.name for row in partitioned), encoded, folded, sees)


def _sees_keys(transaction: Transaction, source: str, dialect: Dialect) -> bool:
    """False where the role may not see InnoDB's list; whether it may run then is a guard's to say (`blind-role`)."""
    try:
        transaction.fetch(source, sa.text(_MAY_SEE.format(_VIEWS[dialect][0])))
    except FailedError as error:
        if error.code != _ACCESS_DENIED:
            raise
        return False
    return True


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def counters(transaction: Transaction, source: str) -> tuple[int, int, int]:
    """The rows that this session has deleted, updated and inserted since it began."""
    found = {str(name).lower(): int(count) for name, count in transaction.fetch(source, _COUNTERS)}
    return found["handler_delete"], found["handler_update"], found["handler_write"]


def widenings(
    transaction: Transaction, share: Share, known: Tables, before: tuple[int, ...], own_updates: int
) -> list[Widening]:
    """What was changed beyond the share, as sums over all tables, and the foreign keys that nobody declared."""
    deleted, updated, inserted = (
        now - then for now, then in zip(counters(transaction, share.source), before, strict=True)
    )
    deleted -= _weighted(share.deleted, known)
    updated -= _weighted(share.updated, known) + own_updates
    found: list[Widening] = []
    if deleted:
        found.append(Widening(None, "deleted", deleted))
    if updated > 0:
        known_triggers = share.stirred and _only_known_triggers(transaction, share, known)
        if known_triggers is None:
            by = "triggers that the plan knows, or others: this role may not see them (GRANT TRIGGER)"
            found.append(Widening(None, "updated", updated, by))
        elif not known_triggers:
            found.append(Widening(None, "updated", updated))
    # Fewer: rows that had these values already are reported, and not written – unless a trigger took the new ones back.
    if updated < 0 and not _no_triggers(transaction, share, known):
        found.append(Widening(None, "updated", updated))
    if inserted and known.dialect == "mariadb":  # MySQL counts rows of its own temporary tables here
        found.append(Widening(None, "inserted", inserted))
    if known.sees_keys:
        found += _undeclared(transaction, share, known)
    return found


def _weighted(rows: Mapping[str, int], known: Tables) -> int:
    """A row of a partitioned table counts twice: for the table, and for its partition."""
    return sum(count * (2 if table in known.partitioned else 1) for table, count in rows.items())


def _only_known_triggers(transaction: Transaction, share: Share, known: Tables) -> bool | None:
    """
    True where no trigger on the job's tables changes rows but those that the plan knows, and these as they were; None
    where the role may not see them.
    """
    stirs = {(stir.trigger, stir.digest) for step in share.steps for stir in step.stirs}
    for table in share.deleted:
        triggers = _triggers(transaction, share, table, known)
        if triggers is None:
            return None
        if any(one.touches != () and (one.name, one.digest) not in stirs for one in triggers):
            return False
    return True


def _no_triggers(transaction: Transaction, share: Share, known: Tables) -> bool:
    """True where nothing acts on an update of the tables that were updated."""
    found = [_triggers(transaction, share, table, known) for table, rows in share.updated.items() if rows]
    return all(triggers is not None and all("UPDATE" not in one.events for one in triggers) for triggers in found)


def _triggers(transaction: Transaction, share: Share, table: str, known: Tables) -> tuple[Trigger, ...] | None:
    with errors_of(share.source):
        return triggers_of(transaction.session.connection(share.source, writes=True), table, known.dialect)


def _undeclared(transaction: Transaction, share: Share, known: Tables) -> Iterator[Widening]:
    """The foreign keys through which InnoDB would take rows along, or has, that the plan does not name."""
    changed = {table for rows in (share.deleted, share.updated) for table, count in rows.items() if count}
    parents = [encoded for encoded, name in known.encoded.items() if name in changed]
    if not parents:
        return
    keys, columns = _VIEWS[known.dialect]
    asked = sa.text(_KEYS.format(keys)).bindparams(sa.bindparam("parents", parents, expanding=True))
    acting = [row for row in transaction.fetch(share.source, asked) if row.flags & (_ON_DELETE | _ON_UPDATE)]
    if not acting:
        return
    asked = sa.text(_KEY_COLUMNS.format(columns)).bindparams(
        sa.bindparam("ids", [row.id for row in acting], expanding=True)
    )
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in transaction.fetch(share.source, asked):
        pairs.setdefault(row.id, []).append((row.child_column, row.parent_column))
    for row in acting:
        for found in _taken(row, pairs.get(row.id, []), share, known):
            yield replace(found, table=known.relation(row.child) or _readable(transaction, share.source, row))


def _readable(transaction: Transaction, source: str, row: Any) -> str:
    """A table's name out of InnoDB's, with its database where that is another one."""
    (child_folder, child), (folder, _) = row.child.split("/", 1), row.parent.split("/", 1)
    with errors_of(source):
        connection = transaction.session.connection(source, writes=True)
        name = decoded(connection, child)
        return name if child_folder == folder else f"{decoded(connection, child_folder)}.{name}"


def _taken(row: Any, pairs: Sequence[tuple[str, str]], share: Share, known: Tables) -> Iterator[Widening]:
    parent, child = known.relation(row.parent), known.relation(row.child)
    if parent is None:  # a name that differs in case alone
        return
    by = f"the foreign key {row.id.split('/', 1)[-1]}"
    declared = child is not None and share.declares(parent, child, pairs)
    if row.flags & _ON_DELETE and share.deleted[parent] and not declared:
        action = _ACTIONS[row.flags & _ON_DELETE]
        yield Widening(child, "deleted" if row.flags & 1 else "updated", None, f"{by} ({action})")
    moved = {column.lower() for column in share.columns(parent)} & {column.lower() for _, column in pairs}
    if row.flags & _ON_UPDATE and share.updated[parent] and moved:
        yield Widening(child, "updated", None, f"{by} ({_ACTIONS[row.flags & _ON_UPDATE]})")
