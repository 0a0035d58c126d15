"""What a role on MariaDB or MySQL may see, as far as `information_schema` hides the rest."""

import re
from dataclasses import dataclass

import sqlalchemy as sa

from retentiond.catalog import sql_mysql as sql

_GRANT = re.compile(
    r"^GRANT (?P<rights>.+?) ON (?:TABLE )?(?P<database>\*|`(?:[^`]|``)+`)\.(?P<table>\*|`(?:[^`]|``)+`) TO "
)
_ANY = re.compile(r"\\([_%])|([_%])|(.)", re.DOTALL)


@dataclass(frozen=True)
class Rights:
    """Whether the role may read the whole database; which tables' triggers are shown to it: all, or the named ones."""

    whole_database: bool
    all_triggers: bool
    triggers_of: frozenset[str]

    @classmethod
    def of(cls, connection: sa.Connection, database: str) -> "Rights":
        """The rights of the session's role, read from its own grants (and those of the role that is active)."""
        everywhere: set[str] = set()
        named: set[str] = set()
        for (line,) in connection.execute(sql.GRANTS):
            found = _GRANT.match(line)
            if found is None or not _matches(found["database"], database):
                continue
            granted = {right for right in ("SELECT", "TRIGGER") if _covers(found["rights"], right)}
            if found["table"] == "*":
                everywhere |= granted
            elif "TRIGGER" in granted:
                named.add(_unquoted(found["table"]))
        return cls("SELECT" in everywhere, "TRIGGER" in everywhere, frozenset(named))

    def sees_triggers(self, table: str) -> bool:
        """True where the triggers of that table are shown."""
        return self.all_triggers or table in self.triggers_of


def _covers(rights: str, wanted: str) -> bool:
    listed = {right.strip() for right in rights.split(",")}
    return wanted in listed or "ALL PRIVILEGES" in listed or "ALL" in listed


def _matches(pattern: str, database: str) -> bool:
    """A grant names a database by a pattern in which `_` and `%` are open unless escaped."""
    if pattern == "*":
        return True

    def translated(part: re.Match[str]) -> str:
        escaped, wild, plain = part.groups()
        return {"_": ".", "%": ".*"}[wild] if wild else re.escape(escaped or plain)

    return re.fullmatch(_ANY.sub(translated, _unquoted(pattern)), database, re.DOTALL) is not None


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`")
