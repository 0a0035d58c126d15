"""
When things fall due, said once more and as plainly as can be: an oracle that shares no line with retentiond.

dateutil adds the months, zoneinfo tells the offsets. Nothing is inverted here: whoever wants a boundary searches it.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

Value = date | datetime
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """The period of a rule. Without any part it is `until`."""

    years: int = 0
    months: int = 0
    days: int = 0
    seconds: int = 0
    end_of: str = ""

    @property
    def by_days(self) -> bool:
        return bool(self.years or self.months or self.days or self.end_of)


def later(local: datetime, zone: ZoneInfo) -> datetime:
    """The later of the two instants that a local time may mean."""
    return max(local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def start_of(day: date, zone: ZoneInfo) -> datetime:
    return later(datetime.combine(day, time.min), zone)


def due(value: Value, span: Span, zone: ZoneInfo) -> datetime:
    """The instant from which the row may go."""
    if isinstance(value, datetime):
        instant = value.astimezone(UTC) if value.tzinfo else later(value, zone)
        if not span.by_days:
            return instant + timedelta(seconds=span.seconds)
        day = instant.astimezone(zone).date()
    else:
        day = value
        if not span.by_days:
            return start_of(day + DAY, zone) + timedelta(seconds=span.seconds)
    if span.end_of:
        month = {"month": day.month, "quarter": (day.month + 2) // 3 * 3, "year": 12}[span.end_of]
        day = date(day.year, month, calendar.monthrange(day.year, month)[1])
    day = day + relativedelta(years=span.years, months=span.months) + timedelta(days=span.days)
    return start_of(day + DAY, zone) + timedelta(seconds=span.seconds)


def first_undue_day(at: datetime, span: Span, zone: ZoneInfo) -> date:
    """The earliest date that is not due at `at`, found day by day (the last month of them)."""
    day = at.date() - relativedelta(years=span.years + 1, months=span.months) - timedelta(days=span.days + 40)
    assert due(day, span, zone) <= at
    while due(day + 32 * DAY, span, zone) <= at:
        day += 32 * DAY
    while due(day, span, zone) <= at:
        day += DAY
    return day


def first_undue_second(at: datetime, span: Span, zone: ZoneInfo) -> datetime:
    """The earliest instant that is not due at `at`, found by halving."""
    low = at - timedelta(days=366 * (span.years + 2) + 31 * span.months + span.days, seconds=span.seconds)
    return _halved(low, at + 400 * DAY, lambda moment: due(moment, span, zone) <= at)


@lru_cache
def turns(zone: ZoneInfo, year: int) -> tuple[datetime, ...]:
    """The instants in a year at which the zone's offset changes."""
    days = [datetime(year, 1, 1, tzinfo=UTC) + number * DAY for number in range(367)]
    found = []
    for before, after in pairwise(days):
        old = before.astimezone(zone).utcoffset()
        if old != after.astimezone(zone).utcoffset():
            found.append(_halved(before, after, _has_offset(zone, old)))
    return tuple(found)


def _has_offset(zone: ZoneInfo, offset: timedelta | None) -> Callable[[datetime], bool]:
    return lambda moment: moment.astimezone(zone).utcoffset() == offset


def _halved(low: datetime, high: datetime, is_before: Callable[[datetime], bool]) -> datetime:
    """The first whole second that is not `before`; `low` is, `high` is not."""
    assert is_before(low)
    assert not is_before(high)
    while high - low > SECOND:
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (middle, high) if is_before(middle) else (low, middle)
    return high
