"""What the column types of MariaDB and MySQL are good for."""

import re
from collections.abc import Iterable
from typing import Any

from retentiond.catalog.model import Check, Family

_FAMILIES = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"), Family.INTEGER),
    **dict.fromkeys(("decimal", "numeric"), Family.DECIMAL),
    **dict.fromkeys(("float", "double", "real"), Family.FLOAT),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"), Family.TEXT),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), Family.BINARY),
    **dict.fromkeys(("inet4", "inet6"), Family.INET),
    "date": Family.DATE,
    "datetime": Family.NAIVE,
    "timestamp": Family.INSTANT,  # stored as UTC; shown in the session's zone, which is UTC
    "json": Family.JSON,
    "uuid": Family.UUID,
}
_JSON_VALID = re.compile(r"^\s*\(?\s*json_valid\(`((?:[^`]|``)+)`\)\s*\)?\s*$", re.IGNORECASE)


def family_of(column: Any, checks: Iterable[Check]) -> Family:
    """What the column is good for. tinyint(1) is what BOOLEAN becomes, longtext with a json_valid what JSON becomes."""
    if column.type.startswith("tinyint(1)"):
        return Family.BOOLEAN
    if column.data_type == "longtext" and any(_is_json_check(check.text, column.name) for check in checks):
        return Family.JSON
    return _FAMILIES.get(column.data_type, Family.OTHER)


def _is_json_check(text: str, column: str) -> bool:
    found = _JSON_VALID.match(text)
    return found is not None and found.group(1).replace("``", "`") == column
