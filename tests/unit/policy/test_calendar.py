"""Due instants and their inverse, in zones that turn their clocks in every way people have thought of."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retentiond.policy.calendar import (
    Bound,
    Kind,
    Reading,
    add,
    before_bound,
    due_bound,
    due_instant,
    is_endless,
    kind_of,
    later_instant,
    local_date,
    unit_end,
    unit_start,
)
from retentiond.policy.model import EndOf, Period

BRUSSELS = ZoneInfo("Europe/Brussels")
TICK = timedelta(microseconds=1)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
NEVER = datetime(9001, 1, 1, tzinfo=UTC)

ZONES = (
    "UTC",
    "Europe/Brussels",
    "Europe/Dublin",  # negative summer time
    "Europe/Amsterdam",  # offsets with seconds
    "America/New_York",
    "America/St_Johns",  # fell back at 00:01
    "America/Toronto",  # 1919: forward at 23:30
    "America/Sao_Paulo",  # midnight missing
    "America/Havana",  # midnight twice
    "America/Nuuk",
    "America/Juneau",  # a day twice, 1867
    "America/Caracas",  # half an hour
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",  # half an hour of summer
    "Antarctica/Troll",  # two hours of summer
    "Pacific/Apia",  # a day missing, 2011
    "Pacific/Kwajalein",  # a day missing, 1993
    "Pacific/Kiritimati",
    "Pacific/Guam",
)


def calendar(years: int = 0, months: int = 0, days: int = 0) -> Period:
    return Period(12 * years + months, days, 0, "some time")


def exactly(seconds: int) -> Period:
    return Period(0, 0, seconds, "some hours")


def local(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    assert value.tzinfo is None
    return value


def instant(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    assert value.tzinfo is not None
    return value


# -- examples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "period", "reached"),
    [
        ("2016-02-29", calendar(years=1), "2017-02-28"),
        ("2016-02-29", calendar(years=4), "2020-02-29"),
        ("2021-01-31", calendar(months=1), "2021-02-28"),
        ("2021-01-31", calendar(months=1, days=1), "2021-03-01"),
        ("2020-12-31", calendar(months=2), "2021-02-28"),
        ("2021-03-30", calendar(days=14), "2021-04-13"),
        ("9990-01-01", calendar(years=9), "9999-01-01"),
    ],
)
def test_months_are_added_before_days_and_cut_to_the_end_of_the_month(day: str, period: Period, reached: str) -> None:
    assert add(date.fromisoformat(day), period) == date.fromisoformat(reached)


def test_what_a_calendar_cannot_reach_is_never() -> None:
    assert add(date(9990, 1, 1), calendar(years=10)) is None
    assert add(date(9999, 12, 31), calendar(days=1)) is None
    assert due_instant(calendar(years=10), None, date(8999, 1, 1), BRUSSELS) is None
    assert due_instant(None, "year", date(9000, 5, 1), BRUSSELS) == datetime(9000, 12, 31, 23, tzinfo=UTC)
    assert due_instant(None, "year", date(9000, 5, 1), ZoneInfo("America/New_York")) is None
    assert due_instant(None, None, local("9999-12-31 23:59:59"), BRUSSELS) is None
    assert due_instant(None, None, datetime.max.replace(tzinfo=UTC), BRUSSELS) is None


@pytest.mark.parametrize(
    ("end_of", "first", "last"),
    [
        (None, "2024-02-10", "2024-02-10"),
        ("month", "2024-02-01", "2024-02-29"),
        ("quarter", "2024-01-01", "2024-03-31"),
        ("year", "2024-01-01", "2024-12-31"),
    ],
)
def test_a_unit_of_the_calendar_has_a_first_and_a_last_day(end_of: EndOf | None, first: str, last: str) -> None:
    assert unit_start(date(2024, 2, 10), end_of) == date.fromisoformat(first)
    assert unit_end(date(2024, 2, 10), end_of) == date.fromisoformat(last)


@pytest.mark.parametrize(
    ("zone", "moment", "utc"),
    [
        ("Europe/Brussels", "2024-06-01 12:00", "2024-06-01T10:00Z"),
        ("Europe/Brussels", "2024-10-27 02:30", "2024-10-27T01:30Z"),  # twice
        ("Europe/Brussels", "2024-03-31 02:30", "2024-03-31T01:30Z"),  # not at all
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30T22:00Z"),  # a whole day not at all
        ("America/Havana", "2023-11-05 00:00", "2023-11-05T05:00Z"),
    ],
)
def test_a_doubtful_local_time_is_the_later_instant(zone: str, moment: str, utc: str) -> None:
    assert later_instant(local(moment), ZoneInfo(zone)) == instant(utc)


@pytest.mark.parametrize(
    ("period", "end_of", "reading", "zone", "due"),
    [
        (calendar(years=10), None, local("2016-02-29 10:00"), "Europe/Brussels", "2026-03-01T00:00+01:00"),
        (calendar(years=10), None, instant("2016-02-28T23:30Z"), "Europe/Brussels", "2026-03-01T00:00+01:00"),
        (calendar(years=10), None, date(2016, 2, 29), "Europe/Brussels", "2026-03-01T00:00+01:00"),
        (calendar(days=1), None, local("2024-03-29 23:59:59.999999"), "Europe/Brussels", "2024-03-31T00:00+01:00"),
        (calendar(years=10), "year", date(2014, 3, 3), "Europe/Brussels", "2025-01-01T00:00+01:00"),
        (None, "quarter", local("2014-03-03 12:00"), "Europe/Brussels", "2014-04-01T00:00+02:00"),
        (None, None, date(2024, 3, 30), "Europe/Brussels", "2024-03-31T00:00+01:00"),
        (None, None, local("2024-03-31 02:30"), "Europe/Brussels", "2024-03-31T03:30+02:00"),
        (None, None, instant("2024-03-31T02:30:00.000001Z"), "Europe/Brussels", "2024-03-31T02:30:00.000001+00:00"),
        (exactly(72 * 3600), None, local("2024-03-30 10:00"), "Europe/Brussels", "2024-04-02T11:00+02:00"),
        (exactly(3600), None, date(2024, 3, 30), "Europe/Brussels", "2024-03-31T01:00+01:00"),
        (exactly(3600), "month", local("2024-03-30 10:00"), "Europe/Brussels", "2024-04-01T01:00+02:00"),
        (calendar(days=1), None, date(2018, 11, 2), "America/Sao_Paulo", "2018-11-04T03:00+00:00"),
        (calendar(days=1), None, date(2011, 12, 28), "Pacific/Apia", "2011-12-30T10:00+00:00"),
        (calendar(days=1), None, date(2011, 12, 29), "Pacific/Apia", "2011-12-30T10:00+00:00"),
        (calendar(days=1), None, local("2011-12-30 12:00"), "Pacific/Apia", "2012-01-01T10:00+00:00"),
        (None, None, date(2023, 11, 4), "America/Havana", "2023-11-05T05:00+00:00"),
        (None, None, date(1988, 10, 29), "America/St_Johns", "1988-10-30T03:30+00:00"),
    ],
)
def test_when_a_reading_falls_due(
    period: Period | None, end_of: EndOf | None, reading: Reading, zone: str, due: str
) -> None:
    assert due_instant(period, end_of, reading, ZoneInfo(zone)) == instant(due)


def test_the_bound_of_a_calendar_period_is_a_midnight() -> None:
    at = instant("2026-02-28T23:00:00Z")
    assert due_bound(calendar(years=10), None, Kind.DATE, BRUSSELS, at) == Bound(date(2016, 3, 1))
    assert due_bound(calendar(years=10), None, Kind.NAIVE, BRUSSELS, at) == Bound(local("2016-03-01 00:00"))
    assert due_bound(calendar(years=10), None, Kind.INSTANT, BRUSSELS, at) == Bound(instant("2016-02-29T23:00Z"))
    before = at - TICK
    assert due_bound(calendar(years=10), None, Kind.DATE, BRUSSELS, before) == Bound(date(2016, 2, 28))
    assert due_bound(calendar(years=10), "year", Kind.DATE, BRUSSELS, at) == Bound(date(2016, 1, 1))


def test_an_exact_bound_includes_its_last_instant() -> None:
    at = instant("2024-06-01T12:00:00Z")
    assert due_bound(None, None, Kind.INSTANT, BRUSSELS, at) == Bound(at + TICK)
    assert due_bound(None, None, Kind.NAIVE, BRUSSELS, at) == Bound(local("2024-06-01T14:00:00.000001"))
    assert due_bound(exactly(60), None, Kind.NAIVE, BRUSSELS, at) == Bound(local("2024-06-01T13:59:00.000001"))


def test_turned_clocks_make_a_hole() -> None:
    spring = due_bound(None, None, Kind.NAIVE, BRUSSELS, instant("2024-03-31T01:30:00Z"))
    assert spring == Bound(
        local("2024-03-31 03:30:00.000001"), (local("2024-03-31 02:30:00.000001"), local("2024-03-31 03:00"))
    )
    st_johns = before_bound(date(1988, 10, 30), Kind.INSTANT, ZoneInfo("America/St_Johns"))
    assert st_johns == Bound(
        instant("1988-10-30T03:30Z"), (instant("1988-10-30T01:30Z"), instant("1988-10-30T01:31Z"))
    ) or st_johns == Bound(instant("1988-10-30T03:30Z"), (instant("1988-10-30T02:30Z"), instant("1988-10-30T02:31Z")))


def test_the_first_midnight_of_two_begins_the_day() -> None:
    havana = before_bound(date(2023, 11, 5), Kind.INSTANT, ZoneInfo("America/Havana"))
    assert havana == Bound(instant("2023-11-05T04:00Z"))


def test_the_first_day_of_all_has_nothing_before_it() -> None:
    for zone in (ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")):
        assert not before_bound(date.min, Kind.DATE, zone).contains(date.min)
        assert not before_bound(date.min, Kind.NAIVE, zone).contains(FIRST.replace(tzinfo=None))
        assert not before_bound(date.min, Kind.INSTANT, zone).contains(FIRST)
        assert not due_bound(calendar(years=200), None, Kind.DATE, zone, datetime(150, 1, 1, tzinfo=UTC)).contains(
            date.min
        )


# -- properties -------------------------------------------------------------------------------------------------------


@lru_cache
def changes(name: str) -> tuple[datetime, ...]:
    """The instants at which a zone turned its clocks, found by looking every three days."""
    zone = ZoneInfo(name)

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(zone).utcoffset()

    found = []
    moment, step = datetime(1840, 1, 1, tzinfo=UTC), timedelta(days=3)
    while moment.year < 2042:
        if offset(moment) != offset(moment + step):
            low, high = moment, moment + step
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                low, high = (middle, high) if offset(middle) == offset(moment) else (low, middle)
            found.append(high.replace(microsecond=0))
        moment += step
    return tuple(found)


def readings_of(local_time: datetime, zone: ZoneInfo) -> datetime:
    """The later instant of a local time, looked for instead of calculated."""
    naive = local_time.replace(tzinfo=UTC)
    offsets = {
        (naive + timedelta(hours=hours)).astimezone(zone).utcoffset() or timedelta(0) for hours in range(-48, 49, 8)
    }
    candidates = [naive - offset for offset in offsets]
    existing = [c for c in candidates if c.astimezone(zone).replace(tzinfo=None) == local_time]
    return max(existing) if existing else max(candidates)


def reference_due(period: Period | None, end_of: EndOf | None, reading: Reading, zone: ZoneInfo) -> datetime:
    """What the contract says, written down a second time with dateutil."""
    moment = reading
    if isinstance(moment, datetime):
        moment = (readings_of(moment, zone) if moment.tzinfo is None else moment).astimezone(zone)
    if end_of or not isinstance(moment, datetime) or (period and not period.seconds):
        day = moment.date() if isinstance(moment, datetime) else moment
        if end_of:
            months = {"month": 1, "quarter": 3, "year": 12}[end_of]
            first = day.replace(day=1, month=(day.month - 1) // months * months + 1)
            day = first + relativedelta(months=months) - timedelta(days=1)
        if period:
            day = day + relativedelta(months=period.months) + timedelta(days=period.days)
        moment = readings_of(datetime.combine(day, time.min) + timedelta(days=1), zone)
    return moment.astimezone(UTC) + timedelta(seconds=period.seconds if period else 0)


periods = st.one_of(
    st.none(),
    st.builds(
        lambda months, days: Period(months, days, 0, "calendar"),
        st.sampled_from((0, 0, 1, 3, 12, 18, 120, 121, 2400)),
        st.sampled_from((0, 1, 2, 7, 14, 30)),
    ),
    st.builds(exactly, st.sampled_from((60, 3600, 5400, 86400, 259200, 86400 * 366))),
)
ends: st.SearchStrategy[EndOf | None] = st.sampled_from((None, None, None, "month", "quarter", "year"))
jitters = st.builds(
    lambda hours, seconds, ticks: timedelta(hours=hours, seconds=seconds, microseconds=ticks),
    st.one_of(st.integers(-30, 30), st.sampled_from((0, -24, 24, 48, -48))),
    st.sampled_from((0, 0, 1, -1, 60, -60, 1800, -1800, 3599)),
    st.sampled_from((0, 0, 1, -1, 999_999)),
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Period | None, EndOf | None, ZoneInfo, datetime, list[Reading]]:
    """A term, a zone, an instant and readings close to where the answer changes."""
    name = draw(st.sampled_from(ZONES))
    zone, period, end_of, kind = ZoneInfo(name), draw(periods), draw(ends), draw(st.sampled_from(Kind))
    ordinary = st.datetimes(local("1850-01-01"), local("2100-01-01"), timezones=st.just(UTC))
    bases = st.one_of(st.sampled_from(changes(name)), ordinary) if changes(name) else ordinary
    at = draw(bases) + draw(jitters)
    back = relativedelta(months=period.months, days=period.days, seconds=period.seconds) if period else relativedelta()
    if draw(st.booleans()):
        clock = draw(bases) + draw(jitters)  # the clock where clocks are turned, `at` where it falls due
        at = max(clock + back + timedelta(days=1), clock) + draw(jitters)
    bound = due_bound(period, end_of, kind, zone, at)
    edges = [bound.upper, *(bound.hole or ())]
    near: list[Reading] = []
    for edge in edges:
        if isinstance(edge, datetime):
            near += [edge, edge - TICK, edge + draw(jitters), edge + draw(jitters)]
        else:
            near += [edge, edge - timedelta(days=1), edge + timedelta(days=draw(st.integers(-40, 40)))]
    return period, end_of, zone, at, near


@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(situations())
def test_the_bound_is_the_exact_inverse(
    situation: tuple[Period | None, EndOf | None, ZoneInfo, datetime, list[Reading]],
) -> None:
    period, end_of, zone, at, near = situation
    for reading in near:
        due = due_instant(period, end_of, reading, zone)
        assert due is not None
        assert due == reference_due(period, end_of, reading, zone)
        bound = due_bound(period, end_of, kind_of(reading), zone, at)
        assert bound.contains(reading) == (due <= at)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(situations(), jitters)
def test_nothing_becomes_undue_with_time(
    situation: tuple[Period | None, EndOf | None, ZoneInfo, datetime, list[Reading]], jitter: timedelta
) -> None:
    period, end_of, zone, at, near = situation
    later = at + abs(jitter)
    for reading in near:
        if due_bound(period, end_of, kind_of(reading), zone, at).contains(reading):
            assert due_bound(period, end_of, kind_of(reading), zone, later).contains(reading)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(situations())
def test_a_day_begins_where_its_local_date_says(
    situation: tuple[Period | None, EndOf | None, ZoneInfo, datetime, list[Reading]],
) -> None:
    _, _, zone, at, near = situation
    for reading in near:
        day = local_date(reading, zone)
        for other in (day, day + timedelta(days=1), local_date(at, zone)):
            assert before_bound(other, kind_of(reading), zone).contains(reading) == (day < other)


anything = st.one_of(
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from((date.min, date.max, FIRST.replace(tzinfo=None), FIRST, local("9999-12-31T23:59:59.999999"))),
    st.datetimes(local("8999-12-01"), local("9001-02-01")),
    st.datetimes(local("8999-12-01"), local("9001-02-01"), timezones=st.just(UTC)),
    st.dates(date(8999, 12, 1), date(9001, 2, 1)),
)


@settings(max_examples=1_000, deadline=None)
@given(
    periods,
    ends,
    anything,
    st.sampled_from(ZONES),
    st.one_of(st.datetimes(timezones=st.just(UTC)), st.just(NEVER), st.just(NEVER - TICK), st.none()),
)
def test_the_inverse_holds_to_the_ends_of_time(
    period: Period | None, end_of: EndOf | None, reading: Reading, name: str, at: datetime | None
) -> None:
    zone = ZoneInfo(name)
    due = due_instant(period, end_of, reading, zone)
    assert due is None or due.year <= 9000
    assert due is None or not is_endless(reading)
    for moment in [at] if at else [due, due - TICK if due and due > FIRST else None]:
        if moment is not None:
            bound = due_bound(period, end_of, kind_of(reading), zone, moment)
            assert bound.contains(reading) == (due is not None and due <= moment)


@settings(max_examples=1_000, deadline=None)
@given(st.dates(date(1800, 1, 1), date(2300, 1, 1)), st.integers(0, 2400), st.integers(0, 10_000))
def test_months_agree_with_dateutil(day: date, months: int, days: int) -> None:
    assert add(day, Period(months, days, 0, "")) == day + relativedelta(months=months) + timedelta(days=days)


def every_gap_and_overlap() -> Iterator[tuple[str, datetime]]:
    for name in ZONES:
        for change in changes(name):
            yield name, change


def test_every_change_of_offset_keeps_the_inverse() -> None:
    steps = [
        timedelta(minutes=m, microseconds=t) for m in (-1441, -90, -31, -1, 0, 1, 29, 59, 61, 1440) for t in (-1, 0)
    ]
    for name, change in every_gap_and_overlap():
        zone = ZoneInfo(name)
        for step in steps:
            at = change + step
            bound = due_bound(None, None, Kind.NAIVE, zone, at)
            for edge in (bound.upper, *(bound.hole or ())):
                assert isinstance(edge, datetime)
                for value in (edge, edge - TICK):
                    assert bound.contains(value) == (readings_of(value, zone) <= at), (name, change, step, value)
