"""
The values of legal holds, as the columns that are compared with them hold them.

An id is text of a file. It is typed by the column that says who a row's subject is; what follows from it goes into
columns of other types, spelled in each way that such a column may have.
"""

import csv
import datetime as dt
import re
import uuid
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from itertools import product

from retentiond.catalog.model import Column, Dialect, Family
from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Relation

WORDS = (Family.TEXT, Family.TEXT_DATE, Family.TEXT_DATETIME)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_HEX = re.compile(r"(0x|\\x)?(([0-9a-f]{2})+)", re.IGNORECASE)
_UUID = re.compile(r"\{?([0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12})\}?", re.IGNORECASE)
_BIGINTS = range(-(2**63), 2**63)
_UNSIGNED = range(-(2**63), 2**64)


def typed(text: str, column: Column, dialect: Dialect) -> object | None:
    """The id as a value of the column; None where the column cannot hold it."""
    match column.family:
        case Family.INTEGER | Family.BOOLEAN if not (column.family is Family.BOOLEAN and dialect == "postgresql"):
            return _integer(text, dialect)
        case Family.DECIMAL | Family.FLOAT:
            return _decimal(text)
        case Family.UUID:
            return _uuid(text)
        case Family.BINARY:
            return _bytes(text)
        case Family.DATE | Family.NAIVE | Family.INSTANT:
            return _moment(text, column.family)
        case Family.TEXT:
            fits = column.length is None or len(text) <= column.length
            return text if fits and (not column.choices or text in column.choices) else None
        case _:
            return text


def typed_key(text: str, relation: Relation, columns: tuple[str, ...]) -> Key | None:
    """The key that a line of a file names, its parts separated by commas; None where it cannot be one."""
    parts = [text] if len(columns) == 1 else next(csv.reader([text], skipinitialspace=True), [])
    if len(parts) != len(columns):
        return None
    named = zip(parts, columns, strict=True)
    values = [typed(part, relation.column(name), relation.dialect) for part, name in named]
    return None if None in values else tuple(values)


def spelled(value: object, column: Column, dialect: Dialect) -> tuple[object, ...]:
    """The value as the column may hold it, in each of its spellings; none where it cannot."""
    match column.family:
        case Family.INTEGER | Family.DECIMAL | Family.FLOAT:
            return _number_for(value, column.family, dialect)
        case Family.BOOLEAN if dialect != "postgresql":
            return _number_for(value, Family.INTEGER, dialect)
        case Family.UUID:
            found = value if isinstance(value, uuid.UUID) else _uuid(str(value))
            return () if found is None else (found if dialect == "postgresql" else str(found),)
        case Family.BINARY:
            return _binary_for(value)
        case Family.DATE | Family.NAIVE | Family.INSTANT:
            moment = value if isinstance(value, dt.date) else _moment(str(value), column.family)
            return () if moment is None else (moment,)
        case Family.TEXT | Family.TEXT_DATE | Family.TEXT_DATETIME:
            texts = _texts(value)
            if column.type.startswith(("character(", "char(", "bpchar")):
                texts = tuple(text.rstrip(" ") for text in texts)  # what such a column adds, it does not compare
            return tuple(text for text in texts if not column.choices or text in column.choices)
        case _:
            return _as_it_may_be(value, dialect)


def spelled_keys(values: Iterable[Key], relation: Relation, columns: tuple[str, ...]) -> tuple[Key, ...]:
    """These keys as the columns may hold them, each once, in an order that does not depend on theirs."""
    found: set[Key] = set()
    for key in values:
        parts = zip(key, columns, strict=True)
        found.update(product(*(spelled(part, relation.column(name), relation.dialect) for part, name in parts)))
    return tuple(sorted(found, key=repr))


def bytewise(column: Column, dialect: Dialect) -> bool:
    """True where two values that the column finds equal are the same value."""
    if column.family not in WORDS:
        return column.family in (Family.INTEGER, Family.DECIMAL, Family.UUID, Family.BINARY, Family.DATE)
    if dialect in ("mariadb", "mysql"):
        return (column.collation or "").endswith("_nopad_bin")
    plain = column.type.partition("(")[0] in ("text", "character varying", "varchar", "character", "bpchar", "name")
    return column.collation in (None, "C", "POSIX") and (dialect == "sqlite" or plain)


def _integer(text: str, dialect: Dialect) -> int | None:
    text = text.strip()
    if not _INTEGER.fullmatch(text) or len(text) > 30:
        return None
    number = int(text)
    return number if number in (_UNSIGNED if dialect in ("mariadb", "mysql") else _BIGINTS) else None


def _decimal(text: str) -> Decimal | None:
    return Decimal(text.strip()) if _NUMBER.fullmatch(text.strip()) and len(text) <= 1000 else None


def _uuid(text: str) -> uuid.UUID | None:
    found = _UUID.fullmatch(text.strip())
    return uuid.UUID(found[1]) if found else None


def _bytes(text: str) -> bytes | None:
    """The bytes that hexadecimal digits say; a UUID is such a text too."""
    found = _UUID.fullmatch(text.strip())
    if found:
        return uuid.UUID(found[1]).bytes
    digits = _HEX.fullmatch(text.strip())
    return bytes.fromhex(digits[2]) if digits else None


def _moment(text: str, family: Family) -> dt.date | None:
    try:
        if family is Family.DATE:
            return dt.date.fromisoformat(text.strip())
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if family is Family.NAIVE:
        return moment if moment.tzinfo is None else None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _number_for(value: object, family: Family, dialect: Dialect) -> tuple[object, ...]:
    try:
        number = value if isinstance(value, (int, Decimal)) else Decimal(str(value).strip())
    except InvalidOperation:
        return ()
    if isinstance(number, Decimal) and not number.is_finite():
        return ()
    if family is Family.FLOAT:
        return (float(number),)
    whole = int(number) if number == int(number) else None
    if family is Family.INTEGER or (dialect == "sqlite" and whole is not None):
        known = _UNSIGNED if dialect in ("mariadb", "mysql") else _BIGINTS
        return (whole,) if whole is not None and whole in known else ()
    return (float(number),) if dialect == "sqlite" else (Decimal(number),)


def _binary_for(value: object) -> tuple[object, ...]:
    if isinstance(value, bytes):
        return (value,)
    found = value.bytes if isinstance(value, uuid.UUID) else _bytes(str(value))
    return () if found is None else (found,)


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, uuid.UUID):
        return (str(value), str(value).upper(), value.hex, value.hex.upper())
    if isinstance(value, bytes):
        try:
            return (value.decode(),)
        except UnicodeDecodeError:
            return ()
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value()
        return (str(int(value)) if whole else str(value),)
    return (str(int(value)) if isinstance(value, bool) else str(value),)


def _as_it_may_be(value: object, dialect: Dialect) -> tuple[object, ...]:
    """For columns that are compared as text; SQLite's untyped ones may hold a number for it, too."""
    texts: tuple[object, ...] = _texts(value)
    if dialect != "sqlite":
        return texts
    number = _integer(str(texts[0]), dialect) if texts else None
    return texts if number is None else (*texts, number)
