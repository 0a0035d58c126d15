"""
Dates for sample rows: seeded, long enough ago or far enough ahead, and never close to the moment of the demo.

A row that falls due while somebody looks at the demo would make two dry runs differ. So no value here lies within a
day of now, and no due instant that follows from it either; most keep three days' distance.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Literal
from zoneinfo import ZoneInfo

NEAREST = 2  # whole days between today and a drawn day
MARGIN = timedelta(days=3)  # between now and anything that falls due
STEP = timedelta(days=4)
SENTINELS = ("1970-01-01 00:00:00", "0001-01-01 00:00:00", "1900-01-01 00:00:00")
MONTHS_IN = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Term:
    """A period after a clock, as a rule of the demo's policies states it."""

    months: int = 0
    days: int = 0
    hours: int = 0
    end_of: Literal["", "month", "quarter", "year"] = ""

    def due(self, clock: datetime) -> datetime:
        """The local instant from which a row with this clock is due."""
        if self.hours:
            return clock + timedelta(hours=self.hours)
        last_kept = add_months(end_of(self.end_of, clock.date()), self.months) + timedelta(days=self.days)
        return datetime.combine(last_kept + timedelta(days=1), time())


def add_months(day: date, months: int) -> date:
    """The day of the same number that many months later, or that month's last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def end_of(unit: str, day: date) -> date:
    """The last day of the month, quarter or year around `day`; the day itself where no unit is given."""
    if not unit:
        return day
    month = -(-day.month // MONTHS_IN[unit]) * MONTHS_IN[unit]
    return date(day.year, month, monthrange(day.year, month)[1])


class Calendar:
    """Naive local date-times of one company, drawn from its own random source."""

    def __init__(self, random: Random, now: datetime, zone: str) -> None:
        self.random = random
        self.now = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None, microsecond=0)
        self._today = datetime.combine(self.now.date(), time())

    def past(self, low: int, high: int, *terms: Term) -> datetime:
        """A moment in office hours `low` to `high` days ago, or a little earlier where a term would end about now."""
        days = self.random.randint(max(low, NEAREST + 1), max(high, NEAREST + 1))
        # No clock is ever turned between six in the morning and ten at night.
        moment = self._today - timedelta(days=days) + timedelta(seconds=self.random.randrange(6 * 3600, 22 * 3600))
        while any(abs(term.due(moment) - self.now) < MARGIN for term in terms):
            moment -= STEP
        return moment

    def lately(self) -> datetime:
        """A moment 30 to 40 hours ago: for what is kept three days, well away from both ends."""
        return self.now - timedelta(seconds=self.random.randrange(30 * 3600, 40 * 3600))

    def ahead(self, low: int, high: int) -> datetime:
        """A moment `low` to `high` days from now."""
        return self._today + timedelta(days=self.random.randint(max(low, NEAREST + 1), high), hours=12)

    def sentinel(self) -> str:
        """One of the dates that stand for `unknown` in old systems and cannot be true."""
        return self.random.choice(SENTINELS)


def stamp(moment: datetime, separator: Literal[" ", "T"] = " ") -> str:
    """The moment as ISO text to the second, as a DATETIME column of SQLite holds it."""
    return moment.isoformat(separator, "seconds")


def day(moment: datetime) -> str:
    """The moment's day as ISO text, as a DATE column of SQLite holds it."""
    return moment.date().isoformat()
