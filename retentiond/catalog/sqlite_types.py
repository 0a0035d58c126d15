"""What a declared type of SQLite is good for: the engine's own affinity rules, and what people mean by a date."""

import re

from retentiond.catalog.model import Family

_EXACT = {
    "DATE": Family.TEXT_DATE,
    "UUID": Family.TEXT,
    "GUID": Family.TEXT,
    "JSON": Family.JSON,
    "JSONB": Family.JSON,
}
_BEGINNINGS = {"DATETIME": Family.TEXT_DATETIME, "TIMESTAMP": Family.TEXT_DATETIME, "BOOL": Family.BOOLEAN}
# In the order in which SQLite itself looks.
_PARTS = (
    ("INT", Family.INTEGER),
    ("CHAR", Family.TEXT),
    ("CLOB", Family.TEXT),
    ("TEXT", Family.TEXT),
    ("BLOB", Family.BINARY),
    ("REAL", Family.FLOAT),
    ("FLOA", Family.FLOAT),
    ("DOUB", Family.FLOAT),
    ("DEC", Family.DECIMAL),
    ("NUM", Family.DECIMAL),
)
_LENGTH = re.compile(r"\(\s*(\d+)\s*\)")


def family_of(declared: str) -> Family:
    """What a column declared so is good for; OTHER where nothing or nothing known is declared."""
    name = " ".join(declared.upper().split())
    base = name.partition("(")[0].strip()
    if base in _EXACT:
        return _EXACT[base]
    for beginning, family in _BEGINNINGS.items():
        if base.startswith(beginning):
            return family
    return next((family for part, family in _PARTS if part in name), Family.OTHER)


def length_of(declared: str, family: Family) -> int | None:
    """The n of VARCHAR(n). SQLite does not enforce it, but whoever wrote it reads with it."""
    found = _LENGTH.search(declared) if family is Family.TEXT else None
    return int(found.group(1)) if found else None
