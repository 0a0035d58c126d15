"""
Clock values that are text in the database, compared as text: the same on PostgreSQL and MariaDB (SQLite calls back).

A text that has the declared shape and names a day that exists is brought into one canonical form,
`YYYY-MM-DD HH:MM:SS.nnnnnnnnn`, whose order as text is its order in time. Nothing is cast to a date before its shape
is known, so no row can make a statement fail. What does not fit is malformed, and so suspect.
"""

import re
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from retentiond.catalog.model import Dialect
from retentiond.policy.calendar import Bound

_DAY = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME = "[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,9})?)?"
_ZONE = "(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
_TICK = timedelta(microseconds=1)
_WIDTHS = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2}


class TextClock:
    """
    The conditions on one text column. `time_part` says whether a time of day counts (False: SQLite's DATE).

    `pattern` is a strptime-like format of fixed-width parts, or None for ISO 8601.
    """

    def __init__(self, column: ColumnElement[str], dialect: Dialect, *, time_part: bool, pattern: str | None) -> None:
        self._dialect = dialect
        self._time_part = time_part
        self._pattern = pattern
        self._text = _binary(column, dialect)
        self._iso = _rearranged(self._text, pattern) if pattern else self._text

    def well_formed(self) -> ColumnElement[bool]:
        """True where the value is a text of the declared shape that names an existing day; false for other values."""
        shape = self._matches(self._iso, f"{_DAY}(?:{_TIME}{_ZONE}?)?")
        if self._pattern:
            shape = sa.and_(self._matches(self._text, _pattern_shape(self._pattern)), shape)
        return shape

    def inside(self, dates: Bound, naive: Bound, instants: Bound) -> ColumnElement[bool]:
        """True where a well-formed value lies in the bound of what it is: a date, a local time or an instant."""
        day = sa.func.substr(self._iso, 1, 10, type_=sa.String)
        by_date = _day_within(day, dates)
        if not self._time_part or self._always == "date":
            return by_date
        by_time = _time_within(_canonical(self._iso), naive)
        if self._always == "time":
            return by_time
        by_instant = _time_within(self._canonical_utc(), instants)
        return sa.case((sa.func.length(self._iso) == 10, by_date), (self._has_zone(), by_instant), else_=by_time)

    def order_value(self) -> ColumnElement[str]:
        """A text that orders well-formed values in time; its last character says D(ate), N(aive) or Z (instant)."""
        as_date = sa.func.substr(self._iso, 1, 10, type_=sa.String) + " 00:00:00.000000000D"
        if not self._time_part or self._always == "date":
            return as_date
        as_time = _canonical(self._iso) + "N"
        if self._always == "time":
            return as_time
        return sa.case(
            (sa.func.length(self._iso) == 10, as_date),
            (self._has_zone(), self._canonical_utc() + "Z"),
            else_=as_time,
        )

    @property
    def _always(self) -> str | None:
        """What every value of a pattern is: a date, or a local time. ISO texts may be either, or have a zone."""
        if self._pattern is None:
            return None
        return "time" if "%H" in self._pattern else "date"

    def _has_zone(self) -> ColumnElement[bool]:
        """True where a well-formed value ends with a zone: nothing else in a time has such a sign."""
        time = sa.func.substr(self._iso, 11)
        return time.regexp_match("[Z+-]")

    def _matches(self, text: ColumnElement[str], shape: str) -> ColumnElement[bool]:
        end = r"\z" if self._dialect in ("mariadb", "mysql") else r"\Z"
        return text.regexp_match(rf"\A(?:{shape}){end}")

    def _canonical_utc(self) -> ColumnElement[str]:
        size = sa.func.length(self._iso)
        zone_size = sa.case(
            (sa.func.substr(self._iso, size, 1) == "Z", 1),
            (sa.func.substr(self._iso, size - 5, 6).regexp_match("[+-]..:.."), 6),
            (sa.func.substr(self._iso, size - 4, 5).regexp_match("[+-]...."), 5),
            else_=3,
        )
        zone = sa.func.substr(self._iso, size - zone_size + 1, zone_size)
        day = sa.func.substr(self._iso, 1, 10, type_=sa.String)
        offset = sa.case(
            (sa.or_(zone_size == 1, day >= "9999-12-31", day < "0001-01-02"), "+00:00"),  # no day lies beyond these
            else_=sa.func.substr(zone, 1, 3) + ":" + sa.func.substr(sa.func.replace(zone, ":", "") + "00", 4, 2),
        )
        local = _canonical(sa.func.substr(self._iso, 1, size - zone_size))
        return self._to_utc(sa.func.substr(local, 1, 19), offset) + sa.func.substr(local, 20, 10)

    def _to_utc(self, local: ColumnElement[str], offset: ColumnElement[str]) -> ColumnElement[str]:
        if self._dialect == "postgresql":
            instant = sa.cast(local + offset, sa.DateTime(timezone=True))
            return sa.func.to_char(sa.func.timezone("UTC", instant), "YYYY-MM-DD HH24:MI:SS", type_=sa.String)
        # CONVERT_TZ knows the years 1970 to 2037 only, and no offset beyond +13:00.
        shifted = sa.func.subtime(sa.cast(local, sa.DateTime), offset)
        return sa.func.date_format(shifted, "%Y-%m-%d %H:%i:%s", type_=sa.String)


def decode_order_value(text: str) -> date | datetime:
    """The reading that `order_value` stands for, fractions below a microsecond rounded up (never early)."""
    tag = text[-1]
    moment = datetime.fromisoformat(text[:19])
    if tag == "D":
        return moment.date()
    moment += timedelta(microseconds=-(-int(text[20:-1].ljust(9, "0")) // 1000))
    return moment.replace(tzinfo=UTC) if tag == "Z" else moment


def _rearranged(text: ColumnElement[str], pattern: str) -> ColumnElement[str]:
    """The ISO form of a text of the pattern's shape, put together from its parts."""
    places = _places(pattern)

    def part(name: str) -> ColumnElement[str]:
        return sa.func.substr(text, places[name], _WIDTHS[name], type_=sa.String)

    iso: ColumnElement[str] = part("%Y") + "-" + part("%m") + "-" + part("%d")
    if "%H" in places:
        iso = iso + " " + part("%H") + ":" + part("%M")
    if "%S" in places:
        iso = iso + ":" + part("%S")
    if "%f" in places:
        iso = iso + "." + sa.func.substr(text, places["%f"], type_=sa.String)
    return iso


def _places(pattern: str) -> dict[str, int]:
    places, position = {}, 1
    for piece in re.findall(r"%.|.", pattern, re.DOTALL):
        if piece.startswith("%"):
            places[piece] = position
        position += _WIDTHS.get(piece, 6 if piece == "%f" else 1)
    return places


def _pattern_shape(pattern: str) -> str:
    shape = ""
    for piece in re.findall(r"%.|.", pattern, re.DOTALL):
        if piece == "%f":
            shape += "[0-9]{1,6}"
        elif piece in _WIDTHS:
            shape += f"[0-9]{{{_WIDTHS[piece]}}}"
        else:
            shape += f"[{piece}]" if piece not in "\\^]" else f"\\{piece}"
    return shape


def _binary(column: ColumnElement[str], dialect: Dialect) -> ColumnElement[str]:
    """The text with an order by code point and no other idea of equality."""
    if dialect == "postgresql":
        return sa.cast(column, sa.Text).collate("C")
    return sa.cast(column, sa.CHAR).collate("utf8mb4_bin")


def _canonical(iso: ColumnElement[str]) -> ColumnElement[str]:
    """`YYYY-MM-DD HH:MM:SS.nnnnnnnnn` of an ISO text with a time and without a zone."""
    minute = sa.func.substr(iso, 1, 10, type_=sa.String) + " " + sa.func.substr(iso, 12, 5, type_=sa.String)
    second = sa.func.substr(iso + ":00", 17, 3, type_=sa.String)
    fraction = sa.func.substr(sa.func.substr(iso, 21, type_=sa.String) + "000000000", 1, 9, type_=sa.String)
    return minute + second + "." + fraction


def _day_within(text: ColumnElement[str], bound: Bound) -> ColumnElement[bool]:
    return text < _date_text(_as_date(bound.upper))


def _time_within(text: ColumnElement[str], bound: Bound) -> ColumnElement[bool]:
    """True where the text, its fraction rounded up to microseconds, lies in the bound."""
    inside = text <= _time_text(bound.upper)
    if bound.hole is None:
        return inside
    return sa.and_(inside, sa.not_(sa.and_(text > _time_text(bound.hole[0]), text <= _time_text(bound.hole[1]))))


def _time_text(reading: date | datetime) -> str:
    """The last canonical text before a reading."""
    assert isinstance(reading, datetime)
    moment = (reading.astimezone(UTC) if reading.tzinfo else reading).replace(tzinfo=None)
    if moment == datetime.min:  # noqa: DTZ901 - a local time has no zone
        return ""  # nothing lies before
    return (moment - _TICK).isoformat(" ", "microseconds") + "000"


def _as_date(reading: date | datetime) -> date:
    return reading.date() if isinstance(reading, datetime) else reading


def _date_text(day: date) -> str:
    return f"{day.year:04}-{day.month:02}-{day.day:02}"
