"""
What SQL can say of one clock column at one instant: still running, suspect, due. Every condition is true or false,
never unknown, and compares the bare column with constants where its type allows, so that an index serves.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from retentiond.catalog.model import Family
from retentiond.compiler.clock_text import TextClock, decode_order_value
from retentiond.compiler.plan import ClockRead, Relation
from retentiond.policy import clock_state
from retentiond.policy.calendar import Bound, Kind, Reading, before_bound, due_bound
from retentiond.policy.clocks import ClockType, Special, read_value

TEXTS = (ClockType.TEXT_DATE, ClockType.TEXT_DATETIME, ClockType.ISO, ClockType.PATTERN)
_NATIVE = {ClockType.DATE: Kind.DATE, ClockType.NAIVE: Kind.NAIVE, ClockType.INSTANT: Kind.INSTANT}


class ClockSql:
    """The conditions of one clock on one column of a table (or its alias), at an instant."""

    def __init__(
        self, clock: ClockRead, clock_type: ClockType, relation: Relation, table: sa.FromClause, at: datetime
    ) -> None:
        self._clock = clock
        self._type = clock_type
        self._dialect = relation.dialect
        self._column: ColumnElement[Any] = table.c[clock.column]
        self._family = relation.column(clock.column).family
        self._zone = ZoneInfo(clock.zone)
        self._at = at

    def empty(self) -> ColumnElement[bool]:
        """True where the clock is NULL."""
        return self._column.is_(None)

    def suspect(self) -> ColumnElement[bool]:
        """True where the value cannot be true: malformed, or before `plausible_from`."""
        if self._called_back:
            return sa.and_(self._column.is_not(None), self._state() == clock_state.SUSPECT)
        return sa.and_(self._column.is_not(None), sa.not_(self._fits(sa.not_(self._implausible()))))

    def due(self) -> ColumnElement[bool]:
        """True where the value is plausible and its term is over."""
        if self._called_back:
            return sa.and_(self._column.is_not(None), self._no_later(), self._state() == clock_state.DUE)
        over = sa.and_(self._inside(self._bounds), sa.not_(self._implausible()))
        return sa.and_(self._column.is_not(None), self._fits(over))

    def order_value(self, *, by_due: bool = False) -> ColumnElement[Any]:
        """
        A value that orders due rows by their clock; `decode` reads it back. Texts of one column may be dates, local
        times and instants: with `by_due` they are ordered by the instants they fall due, where the engine calls back.
        """
        if self._called_back:
            return sa.func.retentiond_clock_order(self._column, self._question(by_due=by_due), type_=sa.Text)
        if self._type in TEXTS:
            return sa.case((self._text().well_formed(), self._text().order_value()))
        return self._column

    def decode(self, raw: object) -> Reading | None:
        """The reading that `order_value` gave, or None where it gave none."""
        return decode(self._clock, self._type, raw)

    def _bounds(self, kind: Kind) -> Bound:
        term = self._clock.term
        return due_bound(term.period, term.clock.end_of, kind, self._zone, self._at)

    def _floor(self, kind: Kind) -> Bound:
        return before_bound(self._clock.plausible_from, kind, self._zone)

    def _text(self) -> TextClock:
        pattern = self._clock.format if self._type is ClockType.PATTERN else None
        column = sa.type_coerce(self._column, sa.Text)
        return TextClock(column, self._dialect, time_part=self._type is not ClockType.TEXT_DATE, pattern=pattern)

    @property
    def _called_back(self) -> bool:
        """True where SQLite asks us about a text value by value."""
        return self._dialect == "sqlite" and self._type in TEXTS

    def _question(self, *, by_due: bool = False) -> str:
        due = {kind: self._bounds(kind) for kind in Kind}
        implausible = {kind: self._floor(kind) for kind in Kind}
        period, end_of = self._clock.term.period, self._clock.term.clock.end_of
        parts = (period.months, period.days, period.seconds) if period else None
        term = (parts, end_of, self._clock.zone) if by_due else None
        return clock_state.ClockQuestion(self._type, self._clock.format, due, implausible, term).as_text()

    def _state(self) -> ColumnElement[int]:
        return sa.func.retentiond_clock_state(self._column, self._question(), type_=sa.Integer)

    def _no_later(self) -> ColumnElement[bool]:
        """A necessary condition on the bare column that an index can serve; a pattern has no such order."""
        if self._type is ClockType.PATTERN:
            return sa.true()
        uppers = [self._bounds(kind).upper for kind in Kind]
        latest = max(upper.date() if isinstance(upper, datetime) else upper for upper in uppers)
        return self._column < (min(latest, date(9998, 1, 1)) + timedelta(days=2)).isoformat()

    def _fits(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """True where the value has the declared form and meets the condition."""
        well_formed = self._well_formed()
        if well_formed is None:
            return condition
        if self._type in TEXTS:  # with casts in it, the condition must not be asked of other values
            return sa.case((well_formed, condition), else_=sa.false())
        return sa.and_(well_formed, condition)

    def _well_formed(self) -> ColumnElement[bool] | None:
        """True where the value has the declared form; None where the column's type leaves no doubt."""
        if self._type in TEXTS:
            return self._text().well_formed()
        if self._dialect == "sqlite":  # numbers, in a database that lets any column hold anything
            return sa.func.typeof(self._column).in_(("integer", "real"))
        if self._dialect in ("mariadb", "mysql") and self._type in _NATIVE:
            # A zero month or day is let in by some sql_modes and sorts between the days that exist.
            return sa.and_(sa.func.month(self._column) > 0, sa.func.dayofmonth(self._column) > 0)
        if self._dialect == "postgresql" and self._type not in _NATIVE and self._family is not Family.INTEGER:
            return self._column != sa.cast(sa.literal("NaN", sa.Text), sa.Double)
        return None

    def _implausible(self) -> ColumnElement[bool]:
        return self._inside(self._floor)

    def _inside(self, bound_of: Callable[[Kind], Bound]) -> ColumnElement[bool]:
        if self._type in TEXTS:
            return self._text().inside(*map(bound_of, (Kind.DATE, Kind.NAIVE, Kind.INSTANT)))
        bound = bound_of(_NATIVE.get(self._type, Kind.INSTANT))
        inside = self._before(bound.upper)
        if bound.hole is None:
            return inside
        opens, closes = bound.hole
        return sa.and_(inside, sa.not_(sa.and_(sa.not_(self._before(opens)), self._before(closes))))

    def _before(self, reading: Reading) -> ColumnElement[bool]:
        """True where the value, any fraction of a microsecond rounded up, lies before the reading."""
        if self._type in (ClockType.EPOCH_S, ClockType.EPOCH_MS):
            return self._column <= self._last_epoch(reading)
        return self._column < self._constant(reading)

    def _constant(self, reading: Reading) -> ColumnElement[Any]:
        if self._type is ClockType.DATE:
            return sa.literal(reading, sa.Date)
        if self._type is ClockType.INSTANT and self._dialect == "postgresql":
            return sa.literal(reading, sa.DateTime(timezone=True))
        if isinstance(reading, datetime) and reading.tzinfo is not None:
            # The session's time zone is UTC: MariaDB hands TIMESTAMP values over as UTC without a zone.
            reading = reading.astimezone(UTC).replace(tzinfo=None)
        return sa.literal(reading, sa.DateTime)

    def _last_epoch(self, reading: Reading) -> ColumnElement[Any]:
        """The last epoch number before `reading`; whole where the column holds whole numbers."""
        assert isinstance(reading, datetime)
        last = (reading - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) - 1
        scale = 1_000_000 if self._type is ClockType.EPOCH_S else 1_000
        if self._family is Family.INTEGER and self._dialect != "sqlite":
            return sa.literal(last // scale, sa.BigInteger)
        if self._family is Family.DECIMAL and self._dialect != "sqlite":
            return sa.literal(Decimal(last) / scale, sa.Numeric)
        return sa.literal(last / scale, sa.Double)


def decode(clock: ClockRead, clock_type: ClockType, raw: object) -> Reading | None:
    """The reading of a value as the database handed it over for `order_value`; None for NULL."""
    if raw is None:
        return None
    if clock_type in TEXTS:
        return decode_order_value(str(raw).rpartition("|")[2])
    if clock_type is ClockType.INSTANT and isinstance(raw, datetime) and raw.tzinfo is None:
        return raw.replace(tzinfo=UTC)
    if clock_type is ClockType.DATE and isinstance(raw, datetime):
        return raw.date()
    reading = read_value(raw, clock_type, clock.format)
    return reading if isinstance(reading, date) and not isinstance(reading, Special) else None
