"""
When a clock's value falls due, and the exact inverse: which values are due at an instant.

Calendar periods follow Regulation (EEC, Euratom) 1182/71, art. 3: the day of the event is not counted (3(1)), and a
period in months or years ends with the last hour of the day with the same number, or of the month's last day where
there is none (3(2)(c)). Art. 3(4), the extension to the next working day, is left out: it would only ever keep longer,
by a calendar of holidays that no policy publishes.

Every day is cut at local midnight. A local time that exists twice or not at all is read as the later of its two
possible instants, so that nothing goes early; the local date of a naive value that does not exist is the date of that
instant. Years beyond 9000 are never due. Instants before year 1 count as its first moment.

No two changes of offset in the tz database lie less than 95 hours apart, and none is wider than a day: within
`_REACH` around an instant there is at most one, and what it does to a comparison is at most one hole.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from enum import Enum
from zoneinfo import ZoneInfo

from retentiond.policy.model import EndOf, Period

Reading = date | datetime
"""What a clock shows: a date, a naive datetime (local time) or an aware one (an instant)."""

LAST_YEAR = 9000
"""Years beyond are how databases write "for ever"."""

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_NEVER = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_REACH = timedelta(hours=26)


class Kind(Enum):
    """What a clock's values are: dates, local times without a zone, or instants."""

    DATE = "date"
    NAIVE = "naive"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Bound:
    """
    The set of values below `upper` that do not lie in `hole` (its start included, its end not).

    All members are of one kind: dates, naive datetimes, or UTC datetimes. The hole exists where clocks were turned
    within the last day before `upper`.
    """

    upper: Reading
    hole: tuple[Reading, Reading] | None = None

    def contains(self, value: Reading) -> bool:
        """True where the value, of the bound's kind, belongs to the set."""
        return value < self.upper and not (self.hole is not None and self.hole[0] <= value < self.hole[1])


def kind_of(reading: Reading) -> Kind:
    """The kind of one reading."""
    if not isinstance(reading, datetime):
        return Kind.DATE
    return Kind.NAIVE if reading.tzinfo is None else Kind.INSTANT


def later_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive local time; the later of the two where it exists twice or not at all."""
    naive = local.replace(tzinfo=None)
    offsets = (_offset(naive.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return _shift(naive, -min(offsets)).replace(tzinfo=UTC, fold=0)


def as_utc(moment: datetime) -> datetime:
    """The UTC instant of an aware datetime, held at the first or last one a datetime can say."""
    return _shift(moment.replace(tzinfo=UTC, fold=0), -_offset(moment))


def local_date(reading: Reading, zone: ZoneInfo) -> date:
    """The day a reading falls on in `zone`; a date is that date."""
    if not isinstance(reading, datetime):
        return reading
    moment = later_instant(reading, zone) if reading.tzinfo is None else as_utc(reading)
    return _local(moment, zone).date()


def is_endless(reading: Reading) -> bool:
    """True where the value's year lies beyond 9000 (of an instant: in UTC); it is never due."""
    if isinstance(reading, datetime) and reading.tzinfo is not None:
        return as_utc(reading) >= _NEVER
    return reading.year > LAST_YEAR


def add(day: date, period: Period) -> date | None:
    """
    The day a calendar period after `day`, or None beyond year 9999.

    Years and months first, cut to the month's last day, then weeks and days: Regulation 1182/71, art. 3(2)(c).
    """
    year, month = divmod(day.year * 12 + day.month - 1 + period.months, 12)
    if year > date.max.year:
        return None
    first = date(year, month + 1, 1)
    ordinal = min(first.toordinal() + day.day - 1, _last_of_month(first).toordinal()) + period.days
    return date.fromordinal(ordinal) if ordinal <= date.max.toordinal() else None


def unit_end(day: date, end_of: EndOf | None) -> date:
    """The last day of the month, quarter or year that `day` falls into; the day itself without a unit."""
    if end_of is None:
        return day
    first = unit_start(day, end_of)
    length = {"month": 1, "quarter": 3, "year": 12}[end_of]
    return _last_of_month(date(first.year, first.month + length - 1, 1))


def unit_start(day: date, end_of: EndOf | None) -> date:
    """The first day of the month, quarter or year that `day` falls into; the day itself without a unit."""
    match end_of:
        case None:
            return day
        case "month":
            return day.replace(day=1)
        case "quarter":
            return date(day.year, day.month - (day.month - 1) % 3, 1)
        case "year":
            return date(day.year, 1, 1)


def due_instant(period: Period | None, end_of: EndOf | None, reading: Reading, zone: ZoneInfo) -> datetime | None:
    """The UTC instant from which a term is over, or None where that is never (years beyond 9000)."""
    if is_endless(reading):
        return None
    if _counts_days(period, end_of, kind_of(reading)):
        reached: date | None = unit_end(local_date(reading, zone), end_of)
        if period is not None and reached is not None:
            reached = add(reached, period)
        if reached is None or reached == date.max:
            return None
        start = later_instant(_midnight(reached + _DAY), zone)
    elif isinstance(reading, datetime):
        start = later_instant(reading, zone) if reading.tzinfo is None else as_utc(reading)
    due = _shift(start, timedelta(seconds=period.seconds if period else 0))
    return due if due < _NEVER else None


def due_bound(period: Period | None, end_of: EndOf | None, kind: Kind, zone: ZoneInfo, at: datetime) -> Bound:
    """
    The values of a kind that are due at `at`: the exact inverse of `due_instant`.

    For every value v of that kind, microseconds included: `due_instant(…, v, zone) <= at` ⇔ `contains(v)`.
    """
    latest, duration = min(as_utc(at), _NEVER - _TICK), timedelta(seconds=period.seconds if period else 0)
    if latest - _FIRST < duration:
        return _nothing(kind)
    latest -= duration
    if _counts_days(period, end_of, kind):
        due_day = _first_day_after(latest, zone)
        bound = before_bound(_first_undue(period, end_of, due_day), kind, zone)
    elif kind is Kind.INSTANT:
        bound = Bound(_shift(latest, _TICK))
    else:
        bound = _naive_up_to(latest, zone)
    return _within_years(bound, kind)


def before_bound(day: date, kind: Kind, zone: ZoneInfo) -> Bound:
    """The values of a kind whose local date lies before `day`."""
    if kind is Kind.DATE:
        return Bound(day)
    if day == date.min:
        return _nothing(kind)
    midnight = _midnight(day)
    change = _change_near(midnight.replace(tzinfo=UTC), zone)
    return _naive_before(midnight, change) if kind is Kind.NAIVE else _instants_before(midnight, change)


@dataclass(frozen=True, slots=True)
class _Change:
    """The one moment (`instant`) at which a zone's offset goes from `before` to `after`; both alike without one."""

    instant: datetime
    before: timedelta
    after: timedelta

    @property
    def opens(self) -> datetime:
        """The local time the old offset ends at."""
        return _shift(self.instant, self.before).replace(tzinfo=None)

    @property
    def resumes(self) -> datetime:
        """The local time the new offset begins with."""
        return _shift(self.instant, self.after).replace(tzinfo=None)


def _counts_days(period: Period | None, end_of: EndOf | None, kind: Kind) -> bool:
    return kind is Kind.DATE or end_of is not None or (period is not None and period.calendar)


def _first_day_after(latest: datetime, zone: ZoneInfo) -> date:
    """The first day whose local midnight lies after `latest`."""
    day = date.fromordinal(max(_local(latest, zone).date().toordinal() - 2, 1))
    while later_instant(_midnight(day), zone) <= latest:
        day += _DAY
    return day


def _first_undue(period: Period | None, end_of: EndOf | None, due_day: date) -> date:
    """The first clock date that is not over before `due_day` begins."""
    ordinal = due_day.toordinal() - 1 - (period.days if period else 0)
    if ordinal < 1:
        return date.min
    reached = date.fromordinal(ordinal)
    year, month = divmod(reached.year * 12 + reached.month - 1 - (period.months if period else 0), 12)
    if year < 1:
        return date.min
    first = date(year, month + 1, 1)
    # Where that month has no such day, all its days fall short, and the first of the next month is the first beyond.
    last = _last_of_month(first)
    day = first.replace(day=reached.day) if reached.day <= last.day else last + _DAY
    return unit_start(day, end_of)


def _instants_before(midnight: datetime, change: _Change) -> Bound:
    """The instants with a local time below `midnight`."""
    aware = midnight.replace(tzinfo=UTC)
    return _two_parts(_shift(aware, -change.before), change.instant, _shift(aware, -change.after))


def _naive_before(midnight: datetime, change: _Change) -> Bound:
    """The naive values whose later instant has a local time below `midnight`; only a gap makes a difference."""
    gap = change.after - change.before
    if gap <= timedelta(0):
        return Bound(midnight)
    first = max(min(midnight, change.opens), _shift(midnight, -gap))
    return _two_parts(first, change.resumes, midnight)


def _naive_up_to(latest: datetime, zone: ZoneInfo) -> Bound:
    """The naive values whose later instant is not after `latest`."""
    change = _change_near(latest, zone)
    naive = _shift(latest.replace(tzinfo=None), _TICK)
    return _two_parts(_shift(naive, change.before), change.resumes, _shift(naive, change.after))


def _two_parts(first_end: datetime, split: datetime, second_end: datetime) -> Bound:
    """The set of all v < `first_end` below `split`, and of all v < `second_end` from there on."""
    if second_end <= split:
        return Bound(min(first_end, split))
    return Bound(second_end) if first_end >= split else Bound(second_end, (first_end, split))


def _nothing(kind: Kind) -> Bound:
    return Bound({Kind.DATE: _FIRST.date(), Kind.NAIVE: _FIRST.replace(tzinfo=None), Kind.INSTANT: _FIRST}[kind])


def _within_years(bound: Bound, kind: Kind) -> Bound:
    """The bound without values of years beyond 9000."""
    last: Reading = {Kind.DATE: _NEVER.date(), Kind.NAIVE: _NEVER.replace(tzinfo=None), Kind.INSTANT: _NEVER}[kind]
    upper = min(bound.upper, last)
    if bound.hole is not None and bound.hole[1] >= upper:
        return Bound(min(bound.hole[0], upper))
    return Bound(upper, bound.hole)


def _change_near(instant: datetime, zone: ZoneInfo) -> _Change:
    """The change of offset within a day and a bit of an instant."""
    low, high = _shift(instant, -_REACH), _shift(instant, _REACH)
    before, after = _offset_at(low, zone), _offset_at(high, zone)
    if before == after:
        return _Change(high, before, after)
    start, length = low, int((high - low).total_seconds())  # offsets change at whole seconds
    start = start.replace(microsecond=0)
    reached, beyond = 0, length + 1
    while beyond - reached > 1:
        middle = (reached + beyond) // 2
        if _offset_at(start + timedelta(seconds=middle), zone) == before:
            reached = middle
        else:
            beyond = middle
    return _Change(start + timedelta(seconds=beyond), before, after)


def _offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    try:
        return _offset(instant.astimezone(zone))
    except OverflowError:
        return _offset(instant.replace(tzinfo=zone))


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    assert offset is not None
    return offset


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    return _shift(instant, _offset_at(instant, zone)).replace(tzinfo=None)


def _shift(moment: datetime, by: timedelta) -> datetime:
    """The moment moved, held at the first or last one a datetime can say."""
    try:
        return moment + by
    except OverflowError:
        end = date.min if by < timedelta(0) else date.max
        time = time_of_day.min if by < timedelta(0) else time_of_day.max
        return datetime.combine(end, time, tzinfo=moment.tzinfo)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time_of_day.min)


def _last_of_month(day: date) -> date:
    if day.month == 12:
        return date(day.year, 12, 31)
    return date(day.year, day.month + 1, 1) - _DAY
