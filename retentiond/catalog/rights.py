"""Rights on tables as values: those that are needed, those that a role has, and the statements between the two."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from retentiond.catalog.model import Dialect, Table

Kind = Literal["schema", "server", "table"]
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_ORDER = ("USAGE", "PROCESS", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """
    A right on a table (`name` as in the catalog) or, where `columns` are named, on these of its columns; or on a
    schema, or (PROCESS) on the whole server.
    """

    kind: Kind
    name: str
    privilege: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """A right that a role has on a table, `*` on every table of the database. `through`: a role or PUBLIC has it."""

    name: str
    privilege: str
    columns: tuple[str, ...] = ()
    through: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Surplus:
    """Rights on one table that nobody needs, and the statements that take them back, where any do."""

    name: str
    what: str
    remedy: tuple[str, ...]


def merged(rights: Iterable[Right]) -> tuple[Right, ...]:
    """The same rights, those on columns of one table together; a whole table swallows its columns."""
    columns: dict[Right, dict[str, None]] = defaultdict(dict)
    for right in rights:
        columns[replace(right, columns=())] |= dict.fromkeys(right.columns or ("",))
    found = (replace(right, columns=() if "" in names else tuple(sorted(names))) for right, names in columns.items())
    return tuple(sorted(found, key=lambda right: (right.kind, right.name, _place(right.privilege))))


def grant_statements(dialect: Dialect, rights: Iterable[Right], role: str) -> list[str]:
    """The statements that give the role these rights, one per table. `role` as the engine's GRANT wants it."""
    return _statements(dialect, "GRANT", "TO", rights, role)


def beyond(
    dialect: Dialect, held: Iterable[Held], needed: Sequence[Right], tables: Mapping[str, Table], role: str
) -> tuple[Surplus, ...]:
    """What the role has beyond the needed rights, table by table."""
    least = {(right.name, right.privilege): right.columns for right in needed if right.kind == "table"}
    found: dict[str, list[tuple[Held, tuple[str, ...]]]] = defaultdict(list)
    for one in held:
        extra = _extra(one, least, tables)
        if extra is not None:
            found[one.name].append((one, extra))
    return tuple(_surplus(dialect, name, extras, least, role) for name, extras in sorted(found.items()))


def quoted(dialect: Dialect, name: str) -> str:
    """The name as a statement needs it: on PostgreSQL quoted where it must be, elsewhere always."""
    if dialect != "postgresql":
        return f"`{name.replace('`', '``')}`"
    if _PLAIN.fullmatch(name) and name not in RESERVED_WORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def quoted_role(dialect: Dialect, role: str) -> str:
    """The role as GRANT names it; on MariaDB and MySQL it is `user@host`, as CURRENT_USER() says it."""
    if dialect == "postgresql":
        return quoted(dialect, role)
    user, _, host = role.rpartition("@")
    return f"{quoted(dialect, user)}@{quoted(dialect, host)}"


def described(right: Right | Held) -> str:
    """`UPDATE (a, b)`."""
    return f"{right.privilege} ({', '.join(right.columns)})" if right.columns else right.privilege


_Least = Mapping[tuple[str, str], tuple[str, ...]]


def _extra(held: Held, least: _Least, tables: Mapping[str, Table]) -> tuple[str, ...] | None:
    """Of a held right the columns that nobody needs; empty where all of it is too much, None where nothing is."""
    wanted = least.get((held.name, held.privilege))
    if wanted is None:
        return held.columns
    if not wanted:
        return None
    table = tables.get(held.name)
    every = tuple(column.name for column in table.columns) if table else ()
    return tuple(name for name in held.columns or every if name not in wanted) or None


def _surplus(
    dialect: Dialect, name: str, extras: Sequence[tuple[Held, tuple[str, ...]]], least: _Least, role: str
) -> Surplus:
    said, revoked, given = [], [], []
    for held, columns in extras:
        through = f" (through {held.through})" if held.through else ""
        said.append(described(replace(held, columns=columns)) + through)
        if held.through:
            continue
        revoked.append(Right("table", name, held.privilege, held.columns and columns))
        wanted = least.get((name, held.privilege))
        if wanted and not held.columns:  # what goes with the whole table comes back for single columns
            given.append(Right("table", name, held.privilege, wanted))
    statements = [
        *_statements(dialect, "REVOKE", "FROM", revoked, role),
        *_statements(dialect, "GRANT", "TO", given, role),
    ]
    return Surplus(name, ", ".join(said), tuple(statements))


def _statements(dialect: Dialect, verb: str, word: str, rights: Iterable[Right], role: str) -> list[str]:
    grouped: dict[tuple[Kind, str], list[str]] = defaultdict(list)
    for right in merged(rights):
        columns = ", ".join(quoted(dialect, column) for column in right.columns)
        grouped[right.kind, right.name].append(f"{right.privilege} ({columns})" if columns else right.privilege)
    return [f"{verb} {', '.join(what)} ON {_object(dialect, *of)} {word} {role}" for of, what in grouped.items()]


def _object(dialect: Dialect, kind: Kind, name: str) -> str:
    if kind == "server" or name == "*":
        return "*.*" if kind == "server" else "*"
    if kind == "schema":
        return f"SCHEMA {quoted(dialect, name)}"
    schema, _, bare = name.rpartition(".") if dialect == "postgresql" else ("", "", name)
    return f"TABLE {quoted(dialect, schema)}.{quoted(dialect, bare)}" if schema else quoted(dialect, bare)


def _place(privilege: str) -> tuple[int, str]:
    return (_ORDER.index(privilege) if privilege in _ORDER else len(_ORDER), privilege)
