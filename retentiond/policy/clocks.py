"""
What a clock shows: the raw value of a column read as a date, a local time or an instant, or why it is none of these.

A value that does not fit its form, or a date that cannot be true, is suspect and never acted on. Several related rows
are read as one: the last or first of them by the day they fall due.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import ceil
from zoneinfo import ZoneInfo

from retentiond.policy.calendar import Reading, due_instant, is_endless, local_date
from retentiond.policy.model import Record, Term


class Special(Enum):
    """What a clock shows where it shows no date."""

    RUNNING = "still running"
    NEVER = "never happened"
    SUSPECT = "suspect"
    ENDLESS = "without end"  # started, and never due: beyond year 9000


ClockValue = Reading | Special


class ClockType(Enum):
    """How a column holds its dates: by its own type, or by the format that the record declares."""

    DATE = "date"
    NAIVE = "timestamp without zone"
    INSTANT = "timestamp with zone"
    TEXT_DATE = "date as ISO text"
    TEXT_DATETIME = "timestamp as ISO text"
    EPOCH_S = "epoch s"
    EPOCH_MS = "epoch ms"
    ISO = "iso"
    PATTERN = "pattern"


_TEXTS = (ClockType.TEXT_DATE, ClockType.TEXT_DATETIME, ClockType.ISO)
_EPOCHS = {ClockType.EPOCH_S: 1_000_000, ClockType.EPOCH_MS: 1_000}
_FORMATS = {"epoch s": ClockType.EPOCH_S, "epoch ms": ClockType.EPOCH_MS, "iso": ClockType.ISO}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENDLESS_MICROSECONDS = 300_000 * 86_400 * 1_000_000_000  # far beyond what a datetime can say
_TICK = timedelta(microseconds=1)

_ISO = re.compile(
    r"(?P<Y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})"
    r"(?:[T ](?P<H>[0-9]{2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.](?P<f>[0-9]{1,9}))?)?"
    r"(?P<zone>Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)?)?"
)
# What a driver hands over as text because its own type ends with year 9999.
_BEYOND = re.compile(r"(?:infinity|[0-9]{5,}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.+-]*Z?)?)")
_DIRECTIVES = {
    "%Y": "(?P<Y>[0-9]{4})",
    "%m": "(?P<m>[0-9]{2})",
    "%d": "(?P<d>[0-9]{2})",
    "%H": "(?P<H>[0-9]{2})",
    "%M": "(?P<M>[0-9]{2})",
    "%S": "(?P<S>[0-9]{2})",
    "%f": "(?P<f>[0-9]{1,6})",
}
_NEEDS = {"%M": "%H", "%H": "%M", "%S": "%M", "%f": "%S"}


def type_of_format(text: str) -> ClockType:
    """The clock type that a record's `format` declares."""
    return _FORMATS.get(text, ClockType.PATTERN)


def pattern_fault(pattern: str) -> str | None:
    """What is wrong with a strptime-like format, or None. Only parts of fixed width are read: no %y, no names."""
    parts = re.findall("%.?", pattern, re.DOTALL)
    if unknown := [part for part in parts if part not in _DIRECTIVES]:
        return f"{unknown[0]} is not one of {' '.join(_DIRECTIVES)}"
    if len(set(parts)) < len(parts):
        return f"{next(part for part in parts if parts.count(part) > 1)} stands twice"
    if missing := [part for part in ("%Y", "%m", "%d") if part not in parts]:
        return f"{missing[0]} is missing"
    if lacking := [part for part in parts if part in _NEEDS and _NEEDS[part] not in parts]:
        return f"{lacking[0]} needs {_NEEDS[lacking[0]]}"
    if "%f" in parts and not pattern.endswith("%f"):
        return "%f stands last, because its width may vary"
    return None


def read_value(raw: object, clock_type: ClockType, pattern: str | None = None) -> ClockValue:
    """The reading of a raw value; RUNNING for NULL. Plausibility is another question: `clock_value` asks it too."""
    if raw is None:
        return Special.RUNNING
    if clock_type in _EPOCHS:
        reading = _read_epoch(raw, _EPOCHS[clock_type])
    elif clock_type is ClockType.PATTERN:
        reading = _read_pattern(raw, pattern or "")
    elif clock_type in _TEXTS:
        reading = _read_text(raw)
    else:
        reading = _read_native(raw, clock_type)
    if isinstance(reading, Special):
        return reading
    if clock_type in (ClockType.DATE, ClockType.TEXT_DATE) and isinstance(reading, datetime):
        reading = reading.date()
    return Special.ENDLESS if is_endless(reading) else reading


def clock_value(raw: object, clock_type: ClockType, record: Record, column: str) -> ClockValue:
    """What one row's clock shows, with all that its record says: format, zone, `plausible_from`, never happened."""
    value = read_value(raw, clock_type, record.format_of(column))
    if value is Special.RUNNING and column in record.never_happened:
        return Special.NEVER
    if isinstance(value, Special):
        return value
    return Special.SUSPECT if local_date(value, ZoneInfo(record.timezone)) < record.plausible_from else value


def combine(values: Sequence[ClockValue], term: Term, zone: ZoneInfo) -> ClockValue:
    """
    The value a term rests on, out of those of its rows: one, none, or all that are related.

    The last of several is the one due last by this term, the first the one due first: no value of the others, DST
    or not, can make the row due earlier or later than it.
    """
    which = term.clock.moment.which
    if Special.SUSPECT in values:
        return Special.SUSPECT
    if not values:
        return Special.RUNNING if which is None else Special.NEVER
    if which == "last" and Special.RUNNING in values:
        return Special.RUNNING
    readings = [value for value in values if not isinstance(value, Special)]
    due = {reading: due_instant(term.period, term.clock.end_of, reading, zone) for reading in readings}
    endings = {reading: instant for reading, instant in due.items() if instant is not None}
    endless = Special.ENDLESS in values or len(endings) < len(due)
    if endless and (which == "last" or not endings):
        return Special.ENDLESS
    if endings:
        return (max if which == "last" else min)(endings, key=lambda reading: endings[reading])
    return Special.RUNNING if Special.RUNNING in values else Special.NEVER


def _read_native(raw: object, clock_type: ClockType) -> ClockValue:
    if isinstance(raw, str):
        if _BEYOND.fullmatch(raw):
            return Special.ENDLESS
        raw = _read_text(raw)
        if isinstance(raw, Special):
            return raw
    if not isinstance(raw, date):
        return Special.SUSPECT
    if clock_type is ClockType.DATE or not isinstance(raw, datetime):
        return raw
    if clock_type is ClockType.INSTANT:
        # A driver's naive datetime is one of MariaDB's TIMESTAMP, and our sessions run in UTC.
        return raw if raw.tzinfo is not None else raw.replace(tzinfo=UTC)
    return raw if raw.tzinfo is None else Special.SUSPECT


def _read_text(raw: object) -> ClockValue:
    if isinstance(raw, date):
        return raw
    found = _ISO.fullmatch(raw) if isinstance(raw, str) else None
    return _reading(found.groupdict()) if found else Special.SUSPECT


def _read_pattern(raw: object, pattern: str) -> ClockValue:
    if fault := pattern_fault(pattern):
        raise ValueError(fault)
    shape = "".join(_DIRECTIVES.get(part) or re.escape(part) for part in re.findall("%.|.", pattern, re.DOTALL))
    found = re.fullmatch(shape, raw) if isinstance(raw, str) else None
    return _reading(found.groupdict()) if found else Special.SUSPECT


def _read_epoch(raw: object, scale: int) -> ClockValue:
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
        return Special.SUSPECT
    try:
        # A binary fraction means the shortest decimal that is stored as it: 0.1 is a tenth, not a little more.
        exact = Fraction(Decimal(repr(raw)) if isinstance(raw, float) else raw) * scale
    except OverflowError:  # an infinite number
        return Special.ENDLESS if raw > 0 else Special.SUSPECT
    except ValueError:  # not a number
        return Special.SUSPECT
    microseconds = ceil(exact)  # up to the next microsecond: never early
    if microseconds > _ENDLESS_MICROSECONDS:
        return Special.ENDLESS
    if microseconds < -_ENDLESS_MICROSECONDS:
        return Special.SUSPECT
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return Special.ENDLESS if microseconds > 0 else Special.SUSPECT


def _reading(parts: dict[str, str | None]) -> ClockValue:
    """The reading of the parts of a text; suspect where the calendar or the clock has no such thing."""
    year, month, day = (int(parts[name] or 0) for name in "Ymd")
    try:
        if parts.get("H") is None:
            return date(year, month, day)
        hour, minute, second = (int(parts.get(name) or 0) for name in "HMS")
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(parts.get("zone")))
    except ValueError:
        return Special.SUSPECT
    digits = (parts.get("f") or "").ljust(9, "0")
    try:
        # Digits below a microsecond count as a whole one: never early.
        return moment + timedelta(microseconds=int(digits[:6])) + (_TICK if int(digits[6:]) else timedelta(0))
    except OverflowError:
        return Special.ENDLESS


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
