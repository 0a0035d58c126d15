"""The constants of `{constant: x}` as SQL: the value that a column takes, and the condition that it holds it."""

import contextlib
import ipaddress
import re
import struct
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.dialects import mysql, postgresql

from retentiond.catalog.model import Column, Family
from retentiond.compiler.plan import Relation
from retentiond.compiler.recognise import Recognised

_NUMBERS = (Family.INTEGER, Family.DECIMAL, Family.FLOAT)
_PRECISION = re.compile(r"\((\d)\)")
_SCALE = re.compile(r"\(\d+(?:,\s*(-?\d+))?\)")
_BIGINTS = range(-(2**63), 2**63)
# Documents of PostgreSQL's json that its jsonb may refuse: escapes that are no character, and numbers out of reach.
_NO_JSONB = r"\\u|[0-9][eE][+-]?[0-9]{4}|[0-9]{255}"


class Named(sa.types.UserDefinedType[object]):
    """A type in the engine's own words."""

    cache_ok = True

    def __init__(self, words: str) -> None:
        self.words = words

    def get_col_spec(self, **_: object) -> str:
        return self.words


def literal_sql(constant: object, column: Column, relation: Relation) -> ColumnElement[Any] | None:
    """The constant (of `typed_constant`) as the column takes it; None where SQL cannot say it."""
    dialect = relation.dialect
    if column.family in _NUMBERS or column.family is Family.BOOLEAN:
        return _number(constant, column, relation)
    if isinstance(constant, datetime):
        return _moment(constant, column, relation)
    if column.family is Family.DATE:
        return sa.literal(constant, sa.Date)
    if column.family is Family.BINARY:
        return None
    if column.family is Family.INET and dialect == "postgresql":
        return _address(str(constant))
    text = sa.literal(str(constant), sa.Text)
    if dialect != "postgresql" or (column.family is Family.TEXT and not column.choices):
        return text
    # Not for texts: this cast would cut off in silence what is too long.
    return sa.cast(text, Named(column.type))


def equals_sql(form: Recognised, column: Column, relation: Relation, value: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that a value that is not NULL is the constant; it may be unknown where it is not."""
    literal = literal_sql(form.argument, column, relation)
    if literal is None:
        return sa.false()
    if column.family is Family.JSON:
        return _same_document(str(form.argument), literal, column, relation, value)
    if column.family in (*_NUMBERS, Family.BOOLEAN, Family.DATE) or isinstance(form.argument, datetime):
        return value == literal
    if column.family in (Family.INET, Family.UUID) and relation.dialect != "sqlite":
        return value == literal
    return _same_text(str(form.argument), column, relation, value)


def _number(constant: object, column: Column, relation: Relation) -> ColumnElement[Any] | None:
    """The number as it is stored: rounded to the column's scale, or to what a float of four bytes can hold."""
    if isinstance(constant, bool):
        return sa.literal(constant if relation.dialect == "postgresql" else int(constant))
    if isinstance(constant, Decimal):
        return _decimal(constant, column, relation)
    if isinstance(constant, int):
        unsigned = relation.dialect in ("mariadb", "mysql")
        return sa.literal(constant, sa.BigInteger) if unsigned or constant in _BIGINTS else None
    number = float(str(constant))
    if relation.dialect != "sqlite" and column.type.split("(")[0] in ("real", "float", "float unsigned"):
        try:
            (number,) = struct.unpack("<f", struct.pack("<f", number))
        except OverflowError:
            return None
    return sa.literal(number, sa.Double)


def _decimal(constant: Decimal, column: Column, relation: Relation) -> ColumnElement[Any]:
    if relation.dialect == "sqlite":
        whole = constant == constant.to_integral_value() and int(constant) in _BIGINTS
        return sa.literal(int(constant), sa.BigInteger) if whole else sa.literal(float(constant), sa.Double)
    found = _SCALE.search(column.type)
    if found:
        with contextlib.suppress(InvalidOperation):  # more than 28 digits stay as they are
            constant = constant.quantize(Decimal((0, (1,), -int(found[1] or 0))), ROUND_HALF_UP)
    return sa.literal(constant, sa.Numeric)


def _moment(constant: datetime, column: Column, relation: Relation) -> ColumnElement[Any]:
    """The timestamp with as many digits of a second as the column has."""
    found = _PRECISION.search(column.type)
    if relation.dialect == "postgresql":
        zone = column.family is Family.INSTANT
        kind = postgresql.TIMESTAMP(timezone=zone, precision=int(found[1]) if found else None)
        return sa.cast(sa.literal(constant, sa.DateTime(timezone=zone)), kind)
    if constant.tzinfo is not None:
        constant = constant.astimezone(UTC).replace(tzinfo=None)
    if relation.dialect == "sqlite":
        return sa.literal(constant.isoformat(" "), sa.Text)
    return sa.cast(sa.literal(constant, sa.DateTime), mysql.DATETIME(fsp=int(found[1]) if found else 0))


def _address(text: str) -> ColumnElement[Any] | None:
    address = ipaddress.ip_interface(text)
    if "%" in text:  # PostgreSQL knows no zones of addresses
        return None
    return sa.cast(sa.literal(address.with_prefixlen, sa.Text), postgresql.INET)


def _same_text(constant: str, column: Column, relation: Relation, value: ColumnElement[Any]) -> ColumnElement[bool]:
    """Byte for byte; trailing blanks do not count where the type itself drops them."""
    dialect = relation.dialect
    if dialect == "sqlite":
        # The bare column: its affinity makes of the constant what it would store.
        return sa.type_coerce(value, sa.Text).collate("BINARY") == sa.literal(constant, sa.Text)
    if column.type.startswith(("char(", "character(")):
        constant = constant.rstrip(" ")
    if dialect == "postgresql":
        return sa.cast(value, sa.Text).collate("C") == sa.literal(constant, sa.Text)
    return sa.cast(sa.cast(value, sa.CHAR), sa.BINARY) == sa.literal(constant.encode(), sa.LargeBinary)


def _same_document(
    constant: str, literal: ColumnElement[Any], column: Column, relation: Relation, value: ColumnElement[Any]
) -> ColumnElement[bool]:
    if relation.dialect == "mysql":
        return value == sa.cast(sa.literal(constant, sa.Text), sa.JSON)
    if relation.dialect == "mariadb":
        return sa.func.json_equals(value, literal) == 1
    if relation.dialect == "sqlite":
        text = sa.type_coerce(value, sa.Text).collate("BINARY")
        valid = sa.and_(sa.func.typeof(value) == "text", sa.func.instr(text, sa.func.char(0)) == 0)
        compact: ColumnElement[bool] = sa.case(
            (sa.func.json_valid(text) == 1, sa.func.json(text, type_=sa.Text) == literal)
        )
        # A number is stored as one, and compares with the constant as one.
        return sa.case((valid, compact), (sa.func.typeof(value) == "text", sa.false()), else_=text == literal)
    document = sa.cast(value, postgresql.JSONB) == sa.cast(literal, postgresql.JSONB)
    if column.type == "jsonb":
        return document
    written = sa.cast(value, sa.Text).collate("C")
    return sa.case((written.regexp_match(_NO_JSONB), written == sa.literal(constant, sa.Text)), else_=document)
