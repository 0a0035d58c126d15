"""What `SHOW GRANTS` says, right by right. Its lines may hold a password's hash: nothing else of them goes anywhere."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from retentiond.catalog import sql_mysql as sql

EVERYTHING = ("ALL PRIVILEGES", "ALL")

_NAME = r"`(?:[^`]|``)+`"
_GRANT = re.compile(
    rf"^GRANT (?P<rights>.+?) ON (?:TABLE )?(?P<database>\*|{_NAME})\.(?P<table>\*|{_NAME}) TO"
    rf" (?P<grantee>{_NAME}(?:@{_NAME})?)(?P<rest>.*)$",
    re.DOTALL,
)
# MySQL names a role as it names a user, with a host.
_ROLE = re.compile(rf"^GRANT (?P<role>{_NAME})(?:@{_NAME})? TO ")
_RIGHT = re.compile(rf"\s*(?P<right>[A-Z][A-Z_ ]*[A-Z])\s*(?:\((?P<columns>(?:{_NAME}|[^`()])*)\))?\s*(?:,|$)")
_COLUMN = re.compile(rf"{_NAME}|[^\s,`]+")
_ANY = re.compile(r"\\([_%])|([_%])|(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Granted:
    """One right. `database` is a pattern or `*`, `table` a name or `*`; `columns` empty means the whole table."""

    right: str
    database: str
    table: str
    columns: tuple[str, ...] = ()
    grantee: str = ""  # as a statement would name it

    @property
    def is_global(self) -> bool:
        """True for a right on the whole server."""
        return self.database == "*"

    def reaches(self, database: str, table: str) -> bool:
        """True where the right holds on (columns of) that table."""
        return self.holds_in(database) and self.table in ("*", table)

    def holds_in(self, database: str) -> bool:
        """True where the right is one on that database, or on things in it."""
        return self.database == "*" or _matches(self.database, database)

    def covers(self, right: str) -> bool:
        """True where it is that right, or all there are."""
        return self.right == right or self.right in EVERYTHING

    def __str__(self) -> str:
        columns = f" ({', '.join(self.columns)})" if self.columns else ""
        return f"{self.right}{columns} ON {self.database}.{self.table}"


def grants(connection: sa.Connection) -> list[Granted]:
    """The rights of the session's role, those of the role in use included."""
    return [granted for (line,) in connection.execute(sql.GRANTS) for granted in read_grant(line)]


def idle_roles(connection: sa.Connection) -> list[str]:
    """Roles that the session could take on and has not taken on."""
    lines = [line for (line,) in connection.execute(sql.GRANTS)]
    named = [_unquoted(found["role"]) for line in lines if (found := _ROLE.match(line))]
    current = str(connection.execute(sql.CURRENT_ROLE).scalar() or "")
    taken = {part.strip().strip("`").partition("`@")[0] for part in current.split(",")}
    return [name for name in named if name not in taken]


def read_grant(line: str) -> Iterator[Granted]:
    """The rights of one line; none where it grants something else than rights on tables."""
    found = _GRANT.match(line)
    if found is None:
        return
    database, table = _unquoted(found["database"]), _unquoted(found["table"])
    for right in _RIGHT.finditer(found["rights"]):
        columns = tuple(_unquoted(name) for name in _COLUMN.findall(right["columns"] or ""))
        yield Granted(right["right"], database, table, columns, found["grantee"])
    if "WITH GRANT OPTION" in found["rest"]:
        yield Granted("GRANT OPTION", database, table, (), found["grantee"])


def holds(granted: Iterable[Granted], right: str, database: str, table: str, column: str | None = None) -> bool:
    """True where one of the rights is that one on the whole table, or at least on that column."""
    return any(
        one.covers(right) and one.reaches(database, table) and (not one.columns or column in one.columns)
        for one in granted
    )


def _matches(pattern: str, database: str) -> bool:
    """A grant names a database by a pattern in which `_` and `%` are open unless escaped."""

    def translated(part: re.Match[str]) -> str:
        escaped, wild, plain = part.groups()
        return {"_": ".", "%": ".*"}[wild] if wild else re.escape(escaped or plain)

    return re.fullmatch(_ANY.sub(translated, pattern), database, re.DOTALL) is not None


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
