"""The names of tables, columns and constraints in a database error, and nothing else of it."""

import re
from typing import Any

_QUOTED = r"`((?:[^`]|``)+)`"
_FOREIGN_KEY = re.compile(rf"fails \({_QUOTED}\.{_QUOTED}, CONSTRAINT {_QUOTED}")
_CHECK_MARIADB = re.compile(rf"^CONSTRAINT {_QUOTED} failed for {_QUOTED}\.{_QUOTED}$")
_CHECK_MARIADB_COLUMN = re.compile(rf"^CONSTRAINT {_QUOTED}\.{_QUOTED} failed for {_QUOTED}\.{_QUOTED}$")
_CHECK_MYSQL = re.compile(r"^Check constraint '([^']+)' is violated\.$")
_KEY = re.compile(r" for key '([^']+)'$")
_COLUMN_AT_ROW = re.compile(r" for column '?([^' ]+)'? at row \d+$")
_COLUMN = re.compile(r"^(?:Column|Field) '([^']+)' ")
_TABLE_DENIED = re.compile(r" denied to user .* for table (\S+)$")
_COLUMN_DENIED = re.compile(r" denied to user .* for column '([^']+)' in table '([^']+)'$")
_TABLE_MISSING = re.compile(r"^Table '([^']+)' doesn't exist$")

# Only numbers whose text the server makes itself; a SIGNAL may say anything. The key's name comes last in 1062, so that
# the value before it cannot pass for one.
_MYSQL_PATTERNS: dict[int, tuple[tuple[re.Pattern[str], str], ...]] = {
    1048: ((_COLUMN, "column {0}"),),
    1062: ((_KEY, "key {0}"),),
    1142: ((_TABLE_DENIED, "table {0}"),),
    1143: ((_COLUMN_DENIED, "column {0} of table {1}"),),
    1146: ((_TABLE_MISSING, "table {0}"),),
    1264: ((_COLUMN_AT_ROW, "column {0}"),),
    1265: ((_COLUMN_AT_ROW, "column {0}"),),
    1292: ((_COLUMN_AT_ROW, "column {0}"),),
    1364: ((_COLUMN, "column {0}"),),
    1366: ((_COLUMN_AT_ROW, "column {0}"),),
    1406: ((_COLUMN_AT_ROW, "column {0}"),),
    1451: ((_FOREIGN_KEY, "table {1}, constraint {2}"),),
    1452: ((_FOREIGN_KEY, "table {1}, constraint {2}"),),
    3819: ((_CHECK_MYSQL, "constraint {0}"),),
    4025: (
        (_CHECK_MARIADB, "table {2}, constraint {0}"),
        (_CHECK_MARIADB_COLUMN, "table {3}, constraint {0}.{1}"),
    ),
}

_POSTGRESQL_DENIED = {
    "aclcheck_error": ((re.compile(r"^permission denied for ([a-z ]+) (\S+)$"), "{0} {1}"),),
    "check_enable_rls": (
        (
            re.compile(r"row-level security policy for table \"([^\"]+)\"$"),
            "row-level security hides rows of table {0}",
        ),
    ),
}

_SQLITE_COLUMNS = re.compile(r"^(?:UNIQUE|NOT NULL|PRIMARY KEY) constraint failed: (.+)$", re.DOTALL)
_SQLITE_TABLE = re.compile(r"^no such (?:table|column): (\S+)$")
_SQLITE_NAMING = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_NOTNULL")


def postgresql_names(diagnosis: Any) -> str:
    """What the server put into the fields for names, unless a RAISE did, which may put anything there."""
    if diagnosis.source_function == "exec_stmt_raise":
        return ""
    if diagnosis.sqlstate == "42501":
        return _denied(diagnosis)
    table = ".".join(part for part in (diagnosis.schema_name, diagnosis.table_name) if part)
    found = {"table": table, "column": diagnosis.column_name, "constraint": diagnosis.constraint_name}
    return _sentence(", ".join(f"{what} {name}" for what, name in found.items() if name))


def _denied(diagnosis: Any) -> str:
    """The object that a right is missing for, out of the server's own sentence; it stands in no field."""
    for pattern, form in _POSTGRESQL_DENIED.get(diagnosis.source_function, ()):
        if match := pattern.search(diagnosis.message_primary or ""):
            return _sentence(form.format(*match.groups()))
    return ""


def mysql_names(number: int, text: str) -> str:
    """The names that errors of this number are known to carry."""
    for pattern, form in _MYSQL_PATTERNS.get(number, ()):
        if match := pattern.search(text):
            return _sentence(form.format(*match.groups()).replace("`", ""))
    return ""


def sqlite_names(name: str, text: str) -> str:
    """The columns of a constraint, or the missing table; a CHECK's text and a trigger's RAISE are left out."""
    if name in _SQLITE_NAMING and (match := _SQLITE_COLUMNS.match(text)):
        return _sentence(match.group(1))
    if name == "SQLITE_ERROR" and (match := _SQLITE_TABLE.match(text)):
        return _sentence(match.group(1))
    return ""


def _sentence(names: str) -> str:
    return f": {names}" if names else ""
