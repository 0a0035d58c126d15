"""
The finished forms of `recognise` as SQL, true or false and never NULL, the same on PostgreSQL, MariaDB, MySQL, SQLite.

No regular expressions on SQLite: they are a Python function there, which fails on bytes that are no UTF-8. And no
nesting of functions: its parser has room for a hundred symbols.
Nothing is cast before its shape is known, so no row can make a statement fail.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.dialects import postgresql

from retentiond.catalog.model import Column, Family
from retentiond.compiler.constants_sql import equals_sql
from retentiond.compiler.plan import Relation
from retentiond.compiler.recognise import ANON, DOTS, LARGEST_EXACT_FLOAT, Kind, Recognised, done_condition
from retentiond.policy.model import Method

_DIGITS = "0123456789"
_MAPPED = "::ffff:"
_LEAST_BIGINT, _LARGEST_BIGINT = -(2**63), 2**63 - 1
_BEYOND_DECIMAL = 10**65  # MariaDB's and MySQL's
_LONGEST = 2**31 - 1  # no text has more characters
# As a text of the database, or as what its driver hands over as one. Any column of SQLite may hold a text.
_WORDS = (Family.TEXT, Family.TEXT_DATE, Family.TEXT_DATETIME, Family.UUID, Family.INET, Family.INTEGER)
_MOMENTS = (Family.DATE, Family.NAIVE, Family.INSTANT)
_WHOLE = (Family.INTEGER, Family.DECIMAL)
_DAY_LENGTH = len("2020-01-01")
_STARTS = {
    Kind.YEAR_START: ((5, "-01-01"),),
    Kind.MONTH_START: ((5, "-"), (8, "-01")),
    Kind.DAY_START: ((5, "-"), (8, "-")),
}
_UNITS = {Kind.YEAR_START: "year", Kind.MONTH_START: "month", Kind.DAY_START: "day"}


def done_sql(method: Method, column: Column, relation: Relation, table: sa.FromClause) -> ColumnElement[bool] | None:
    """The condition that the column shows the method's output; None where only a marker can tell."""
    form = done_condition(method, column)
    if form is None:
        return None
    value = table.c[column.name]
    if form.kind is Kind.NULL:
        return value.is_(None)
    if form.kind is Kind.EQUALS:
        return sa.and_(value.is_not(None), _certain(equals_sql(form, column, relation, value)))
    shown = _Shown(form, column, relation, value).condition()
    return value.is_(None) if shown is None else sa.or_(value.is_(None), _certain(shown))


def _certain(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, false where it is unknown: a MariaDB function gives NULL for what is too large for a packet."""
    return sa.type_coerce(condition, sa.Boolean).is_(sa.true())


class _Shown:
    """One form of one column that is not NULL."""

    def __init__(self, form: Recognised, column: Column, relation: Relation, value: ColumnElement[Any]) -> None:
        self._form = form
        self._column = column
        self._dialect = relation.dialect
        self._value = value

    def condition(self) -> ColumnElement[bool] | None:
        """True where the value has the form; None where no value but NULL can have it."""
        if self._form.kind is Kind.MULTIPLE:
            return self._multiple()
        if self._form.kind in _UNITS and self._column.family in _MOMENTS and self._dialect != "sqlite":
            return self._moment_start()
        if not self._has_text():
            return None
        condition = _TEXT_FORMS[self._form.kind](self)
        if self._dialect != "sqlite":
            return condition
        if self._form.kind in _UNITS:
            return sa.and_(sa.func.typeof(self._value) == "text", condition)
        return sa.and_(sa.func.typeof(self._value) != "blob", condition)

    def _has_text(self) -> bool:
        if self._dialect == "sqlite" or self._column.family in _WORDS:
            return True
        # PostgreSQL's driver hands documents over, the others' their text.
        return self._column.family is Family.JSON and self._dialect != "postgresql"

    # Texts

    def _text(self) -> ColumnElement[str]:
        """The value as the text that its driver hands over, where one byte is one byte."""
        if self._dialect == "sqlite":
            return sa.type_coerce(self._value, sa.Text).collate("BINARY")
        if self._dialect != "postgresql":
            return sa.cast(self._value, sa.CHAR).collate("utf8mb4_bin")
        if self._column.family is Family.INET:  # text() would add /32
            return sa.func.abbrev(sa.cast(self._value, postgresql.INET), type_=sa.Text).collate("C")
        return sa.cast(self._value, sa.Text).collate("C")

    def _same(self, text: ColumnElement[str], constant: str) -> ColumnElement[bool]:
        if self._dialect in ("mariadb", "mysql"):  # even utf8mb4_bin does not see trailing blanks
            return sa.cast(text, sa.BINARY) == sa.literal(constant.encode(), sa.LargeBinary)
        return text == sa.literal(constant, sa.Text)

    def _only(self, text: ColumnElement[str], characters: str) -> ColumnElement[bool]:
        """True where every character of the text is one of these; also where there is none."""
        if self._dialect != "sqlite":
            return sa.not_(text.regexp_match(f"[^{characters}]"))
        other: ColumnElement[bool] = text.bool_op("GLOB")(f"*[^{characters}]*")
        return sa.not_(other)

    def _count(self, text: ColumnElement[str], character: str) -> ColumnElement[int]:
        return self._length(text) - self._length(sa.func.replace(text, character, "", type_=sa.Text))

    def _length(self, text: ColumnElement[str]) -> ColumnElement[int]:
        if self._dialect != "sqlite":
            return sa.func.char_length(text, type_=sa.Integer)
        # SQLite's length() stops at a NUL character. instr() does not, and finds a byte that no UTF-8 contains.
        end: ColumnElement[str] = sa.cast(sa.literal_column("x'ff'", sa.LargeBinary), sa.Text)
        whole = sa.func.instr(text.concat(end), end) - 1
        return sa.func.max(sa.func.length(text), whole, type_=sa.Integer)

    def _position(self, text: ColumnElement[str], part: ColumnElement[str]) -> ColumnElement[int]:
        find = sa.func.strpos if self._dialect == "postgresql" else sa.func.instr
        return find(text, part, type_=sa.Integer)

    def _no_nul(self) -> ColumnElement[bool]:
        """True where substr() sees the whole text: SQLite's stops at a NUL character."""
        if self._dialect != "sqlite":
            return sa.true()
        return self._position(self._text(), sa.func.char(0)) == 0

    def anon(self) -> ColumnElement[bool]:
        return self._same(_part(self._text(), 1, len(ANON)), ANON)

    def at_most(self) -> ColumnElement[bool]:
        return self._length(self._text()) <= min(self._form.number, _LONGEST)

    def masked(self) -> ColumnElement[bool]:
        text = self._text()
        short = self._length(text) <= min(len(DOTS) + self._form.number, _LONGEST)
        return sa.and_(self._same(_part(text, 1, len(DOTS)), DOTS), short)

    def no_at(self) -> ColumnElement[bool]:
        return self._position(self._text(), sa.literal("@", sa.Text)) == 0

    def text_start(self) -> ColumnElement[bool]:
        """A date and nothing but zeros behind it."""
        text = self._text()
        day = _part(text, 1, _DAY_LENGTH)
        return sa.and_(
            self._no_nul(),
            self._length(day) == _DAY_LENGTH,
            self._only(day, _DIGITS + "-"),
            self._count(day, "-") == 2,
            *(self._same(_part(text, place, len(part)), part) for place, part in _STARTS[self._form.kind]),
            self._only(_part(text, _DAY_LENGTH + 1), "T 0:.Z+"),
        )

    def network(self) -> ColumnElement[bool]:
        text = self._address()
        length = self._length(text)
        mapped = self._same(_part(text, 1, len(_MAPPED)), _MAPPED)
        dotted = sa.case((mapped, _part(text, len(_MAPPED) + 1)), else_=text)
        four = (self._ends(text, ".0"), self._only(dotted, _DIGITS + "."), self._count(dotted, ".") == 3)
        six = (self._ends(text, "::"), self._only(text, _DIGITS + "abcdef:"), self._count(text, ":").between(2, 4))
        return sa.and_(self._no_nul(), sa.or_(sa.and_(length <= 20, *four), sa.and_(length <= 16, *six)))

    def _ends(self, text: ColumnElement[str], end: str) -> ColumnElement[bool]:
        return self._same(sa.func.substr(text, self._length(text) - len(end) + 1, len(end), type_=sa.Text), end)

    def _address(self) -> ColumnElement[str]:
        if self._dialect != "postgresql" or self._column.family is not Family.INET:
            return self._text()
        return sa.func.host(sa.cast(self._value, postgresql.INET), type_=sa.Text).collate("C")

    # Dates

    def _moment_start(self) -> ColumnElement[bool]:
        if self._dialect == "postgresql":
            return self._moment_start_postgresql()
        starts: list[ColumnElement[bool]] = [sa.true()]
        if self._form.kind is Kind.YEAR_START:
            starts.append(sa.func.month(self._value) == 1)
        if self._form.kind is not Kind.DAY_START:
            starts.append(sa.func.dayofmonth(self._value) == 1)
        if self._column.family is not Family.DATE:
            starts.append(sa.extract("hour_microsecond", self._value) == 0)
        return sa.and_(*starts)

    def _moment_start_postgresql(self) -> ColumnElement[bool]:
        """Within Python's years only: the driver hands over others, and infinity, as a text that is nobody's form."""
        low: date = datetime(1, 1, 1, tzinfo=UTC)
        high: date = datetime.max.replace(tzinfo=UTC)
        kind: sa.types.TypeEngine[Any] = sa.DateTime(timezone=True)
        if self._column.family is Family.DATE:
            low, high, kind = date.min, date.max, sa.Date()
        elif self._column.family is Family.NAIVE:
            low, high, kind = datetime.min, datetime.max, sa.DateTime()  # noqa: DTZ901 - the column has no zone either
        moment: ColumnElement[datetime] = sa.cast(self._value, sa.DateTime)
        if self._column.family is Family.INSTANT:
            moment = sa.func.timezone("UTC", self._value, type_=sa.DateTime)
        inside = sa.and_(self._value >= sa.literal(low, kind), self._value <= sa.literal(high, kind))
        # A date may lie beyond all timestamps; the cast would fail.
        starts = sa.func.date_trunc(_UNITS[self._form.kind], moment) == moment
        return sa.case((inside, starts), else_=sa.false())

    # Numbers

    def _multiple(self) -> ColumnElement[bool] | None:
        bucket = self._form.number
        if self._dialect == "sqlite":
            return self._multiple_sqlite(bucket)
        if self._column.family in _WHOLE:
            return self._divides(bucket, self._value)
        if self._column.family is not Family.FLOAT:
            return None
        return self._multiple_postgresql(bucket) if self._dialect == "postgresql" else self._multiple_mysql(bucket)

    def _divides(self, bucket: int, value: ColumnElement[Any]) -> ColumnElement[bool]:
        """True where the number is a multiple, whatever their sizes."""
        if self._dialect != "sqlite" and self._column.family is Family.DECIMAL:
            return self._divides_decimal(bucket, value)
        if bucket <= _LARGEST_BIGINT:
            return value % sa.literal(bucket, sa.BigInteger) == 0
        largest = _LARGEST_BIGINT if self._dialect in ("sqlite", "postgresql") else 2 * _LARGEST_BIGINT + 1
        multiples = [number for number in (0, bucket, -bucket) if _LEAST_BIGINT <= number <= largest]
        return value.in_([sa.literal(number, sa.BigInteger) for number in multiples])

    def _divides_decimal(self, bucket: int, value: ColumnElement[Any]) -> ColumnElement[bool]:
        if self._dialect == "postgresql":
            return value % sa.cast(sa.literal(str(bucket)), sa.Numeric) == 0
        if bucket >= _BEYOND_DECIMAL:
            return value == 0
        # MariaDB: -5.0 % 5 is a -0.0 that does not equal 0.
        return sa.func.abs(value) % sa.literal(bucket, sa.BigInteger) == 0

    def _multiple_sqlite(self, bucket: int) -> ColumnElement[bool]:
        kind = sa.func.typeof(self._value)
        whole = sa.cast(self._value, sa.Integer)
        return sa.or_(
            sa.and_(kind == "integer", self._divides(bucket, sa.type_coerce(self._value, sa.BigInteger))),
            sa.and_(kind == "real", _exact(self._value), self._value == whole, self._divides(bucket, whole)),
        )

    def _multiple_postgresql(self, bucket: int) -> ColumnElement[bool]:
        """The number that the driver reads from the text; a cast to numeric would keep 15 digits (of a real: 6)."""
        seen = sa.cast(sa.cast(self._value, sa.Text), sa.Double)
        whole = sa.and_(seen == sa.func.trunc(seen), self._divides(bucket, sa.cast(seen, sa.BigInteger)))
        return sa.case((_exact(seen), whole), else_=sa.false())

    def _multiple_mysql(self, bucket: int) -> ColumnElement[bool]:
        value = sa.type_coerce(self._value, sa.Double)
        if not self._column.type.startswith("float"):
            return sa.and_(_exact(value), self._divides(bucket, value))
        # The driver sees six digits of a float. Done is the float nearest to a multiple that can be seen.
        seen = sa.cast(sa.cast(self._value, sa.CHAR), sa.Double)
        return sa.and_(_exact(seen), self._divides(bucket, seen), value == sa.cast(seen, sa.Float))


def _exact(number: ColumnElement[Any]) -> ColumnElement[bool]:
    """True for finite numbers of which a double can hold every whole one."""
    return sa.type_coerce(number, sa.Double).between(
        sa.literal(float(-LARGEST_EXACT_FLOAT), sa.Double), sa.literal(float(LARGEST_EXACT_FLOAT), sa.Double)
    )


def _part(text: ColumnElement[str], start: int, length: int | None = None) -> ColumnElement[str]:
    return sa.func.substr(text, start, *([] if length is None else [length]), type_=sa.Text)


_TEXT_FORMS: Mapping[Kind, Callable[[_Shown], ColumnElement[bool]]] = {
    Kind.ANON: _Shown.anon,
    Kind.YEAR_START: _Shown.text_start,
    Kind.MONTH_START: _Shown.text_start,
    Kind.DAY_START: _Shown.text_start,
    Kind.AT_MOST: _Shown.at_most,
    Kind.NETWORK: _Shown.network,
    Kind.MASK: _Shown.masked,
    Kind.NO_AT: _Shown.no_at,
}
