"""Raw values as drivers and files hand them over, and what becomes of several of them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.policy.calendar import due_instant
from retentiond.policy.clocks import (
    ClockType,
    ClockValue,
    Special,
    clock_value,
    combine,
    pattern_fault,
    read_value,
    type_of_format,
)
from retentiond.policy.model import Clock, EndOf, Moment, Period, Record, Term, Which

SUSPECT, RUNNING, NEVER, ENDLESS = Special.SUSPECT, Special.RUNNING, Special.NEVER, Special.ENDLESS
BRUSSELS = ZoneInfo("Europe/Brussels")
TEXTS = (ClockType.TEXT_DATE, ClockType.TEXT_DATETIME, ClockType.ISO)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def term(which: Which | None, period: Period | None = None, end_of: EndOf | None = None) -> Term:
    return Term(period, Clock(Moment("ended_at", "contract" if which else None, which), end_of, "a clock"))


@pytest.mark.parametrize("clock_type", ClockType)
def test_null_is_running(clock_type: ClockType) -> None:
    assert read_value(None, clock_type, "%d.%m.%Y") is RUNNING


@pytest.mark.parametrize(
    ("raw", "reading"),
    [
        ("2016-02-29", date(2016, 2, 29)),
        ("2016-02-29 10:00", at("2016-02-29 10:00")),
        ("2016-02-29T10:00:01", at("2016-02-29 10:00:01")),
        ("2016-02-29T10:00:01.5", at("2016-02-29 10:00:01.500000")),
        ("2016-02-29T10:00:01.123456000", at("2016-02-29 10:00:01.123456")),
        ("2016-02-29T10:00:01.123456001", at("2016-02-29 10:00:01.123457")),
        ("2016-12-31 23:59:59.999999999", at("2017-01-01 00:00")),
        ("2016-02-29T10:00Z", at("2016-02-29T10:00+00:00")),
        ("2016-02-29 10:00:00+01:00", at("2016-02-29T09:00+00:00")),
        ("2016-02-29 10:00:00-0330", at("2016-02-29T13:30+00:00")),
        ("2016-02-29 10:00:00.25+01", at("2016-02-29T09:00:00.250000+00:00")),
        ("9000-12-31", date(9000, 12, 31)),
        ("9001-01-01", ENDLESS),
        ("9999-12-31 23:59:59.999999999", ENDLESS),
        ("9000-12-31 23:30-01:00", ENDLESS),
        *(
            (text, SUSPECT)
            for text in (
                *("", " ", "2016-02-29 ", " 2016-02-29", "2016-02-29\n", "2021-02-29", "2021-02-31", "2021-13-01"),
                *("0000-00-00", "0000-00-00 00:00:00", "2021-00-10", "2021-10-00", "2021-10-10 24:00"),
                *("2021-10-10 10:60", "2021-10-10 10:10:60", "2021-10-10 10", "2021-10-10T", "2021-10-10 10:10:10."),
                *("2021-10-10 10:10:10.1234567890", "2021-10-10 10:10:10,5", "2021-10-10t10:10", "2021-10-10 10:10z"),
                *("2021-10-10 10:10 Z", "2021-10-10 10:10+1", "2021-10-10 10:10+15:00", "2021-10-10Z", "20211010"),
                *("2021-1-1", "10/10/2021", "now", "infinity", "10000-01-01", "٢٠٢١-١٠-١٠", "2021-W01-1"),
            )
        ),
        *((value, SUSPECT) for value in (20211010, 1.5, True, b"2021-10-10", Decimal(1))),
    ],
)
def test_iso_text(raw: object, reading: ClockValue) -> None:
    assert read_value(raw, ClockType.TEXT_DATETIME) == reading
    assert read_value(raw, ClockType.ISO, "iso") == reading


@pytest.mark.parametrize(
    ("raw", "reading"),
    [
        ("2016-02-29", date(2016, 2, 29)),
        ("2016-02-29T23:59:59+01:00", date(2016, 2, 29)),
        ("2016-02-29 25:00", SUSPECT),
        (20160229, SUSPECT),
        ("9999-12-31", ENDLESS),
    ],
)
def test_a_declared_date_counts_as_its_date_part(raw: object, reading: ClockValue) -> None:
    assert read_value(raw, ClockType.TEXT_DATE) == reading


@pytest.mark.parametrize(
    ("raw", "clock_type", "reading"),
    [
        (date(2021, 1, 1), ClockType.DATE, date(2021, 1, 1)),
        (at("2021-01-01 10:00"), ClockType.DATE, date(2021, 1, 1)),
        (at("2021-01-01 10:00"), ClockType.NAIVE, at("2021-01-01 10:00")),
        (at("2021-01-01T10:00Z"), ClockType.NAIVE, SUSPECT),
        (at("2021-01-01T10:00+02:00"), ClockType.INSTANT, at("2021-01-01T08:00Z")),
        (at("2021-01-01 10:00"), ClockType.INSTANT, at("2021-01-01T10:00Z")),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))), ClockType.INSTANT, ENDLESS),
        (date(9999, 12, 31), ClockType.DATE, ENDLESS),
        ("infinity", ClockType.INSTANT, ENDLESS),
        ("-infinity", ClockType.INSTANT, SUSPECT),
        ("infinity", ClockType.DATE, ENDLESS),
        ("20000-01-01 00:00:00+00", ClockType.INSTANT, ENDLESS),
        ("0044-03-15 BC", ClockType.DATE, SUSPECT),
        ("0000-00-00", ClockType.DATE, SUSPECT),
        ("2021-00-15 00:00:00", ClockType.NAIVE, SUSPECT),
        (17, ClockType.DATE, SUSPECT),
        (b"2021-01-01", ClockType.NAIVE, SUSPECT),
    ],
)
def test_values_of_the_database_s_own_types(raw: object, clock_type: ClockType, reading: ClockValue) -> None:
    assert read_value(raw, clock_type) == reading


@pytest.mark.parametrize(
    ("raw", "clock_type", "reading"),
    [
        (0, ClockType.EPOCH_S, at("1970-01-01T00:00Z")),
        (1700000000, ClockType.EPOCH_S, at("2023-11-14T22:13:20Z")),
        (1700000000.0, ClockType.EPOCH_S, at("2023-11-14T22:13:20Z")),
        (Decimal("1700000000.25"), ClockType.EPOCH_S, at("2023-11-14T22:13:20.250000Z")),
        (Decimal("1700000000.0000001"), ClockType.EPOCH_S, at("2023-11-14T22:13:20.000001Z")),
        (1700000000123, ClockType.EPOCH_MS, at("2023-11-14T22:13:20.123000Z")),
        (-1, ClockType.EPOCH_S, at("1969-12-31T23:59:59Z")),
        (1700000000123, ClockType.EPOCH_S, ENDLESS),
        (10**40, ClockType.EPOCH_MS, ENDLESS),
        (float("inf"), ClockType.EPOCH_S, ENDLESS),
        (-(10**12), ClockType.EPOCH_S, SUSPECT),
        (-(10**40), ClockType.EPOCH_S, SUSPECT),
        (float("-inf"), ClockType.EPOCH_S, SUSPECT),
        (float("nan"), ClockType.EPOCH_S, SUSPECT),
        (Decimal("NaN"), ClockType.EPOCH_S, SUSPECT),
        ("1700000000", ClockType.EPOCH_S, SUSPECT),
        (True, ClockType.EPOCH_S, SUSPECT),
        (b"1700000000", ClockType.EPOCH_S, SUSPECT),
    ],
)
def test_seconds_and_milliseconds_since_1970(raw: object, clock_type: ClockType, reading: ClockValue) -> None:
    assert read_value(raw, clock_type) == reading


@pytest.mark.parametrize(
    ("raw", "pattern", "reading"),
    [
        ("29.02.2016", "%d.%m.%Y", date(2016, 2, 29)),
        ("29.02.2015", "%d.%m.%Y", SUSPECT),
        ("1.2.2016", "%d.%m.%Y", SUSPECT),
        ("29-02-2016", "%d.%m.%Y", SUSPECT),
        ("29.02.2016\n", "%d.%m.%Y", SUSPECT),
        ("20160229101112", "%Y%m%d%H%M%S", at("2016-02-29 10:11:12")),
        ("20160229 10:11", "%Y%m%d %H:%M", at("2016-02-29 10:11")),
        ("2016-02-29 10:11:12.5", "%Y-%m-%d %H:%M:%S.%f", at("2016-02-29 10:11:12.500000")),
        ("31/12/9999", "%d/%m/%Y", ENDLESS),
        (20160229, "%Y%m%d", SUSPECT),
        (b"29.02.2016", "%d.%m.%Y", SUSPECT),
    ],
)
def test_a_pattern_of_fixed_widths(raw: object, pattern: str, reading: ClockValue) -> None:
    assert pattern_fault(pattern) is None
    assert read_value(raw, ClockType.PATTERN, pattern) == reading


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("%d.%m.%y", "%y is not one of"),
        ("%d. %B %Y", "%B is not one of"),
        ("%d.%m", "%Y is missing"),
        ("%Y-%m-%d %d", "%d stands twice"),
        ("%Y-%m-%d %H", "%H needs %M"),
        ("%Y-%m-%d %M:%S", "%M needs %H"),
        ("%f %Y-%m-%d %H:%M:%S", "%f stands last"),
        ("%Y-%m-%d %", "% is not one of"),
        ("plain", "%Y is missing"),
    ],
)
def test_other_patterns_are_refused(pattern: str, said: str) -> None:
    assert (pattern_fault(pattern) or "").startswith(said)
    with pytest.raises(ValueError, match="%"):
        read_value("29.02.2016", ClockType.PATTERN, pattern)


def test_formats_have_types() -> None:
    assert [type_of_format(text) for text in ("epoch s", "epoch ms", "iso", "%d.%m.%Y")] == [
        ClockType.EPOCH_S,
        ClockType.EPOCH_MS,
        ClockType.ISO,
        ClockType.PATTERN,
    ]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (None, RUNNING),
        ("1970-12-31 23:59:59", SUSPECT),
        ("1970-12-31T23:00Z", at("1970-12-31T23:00Z")),  # already 1971 in Brussels
        ("1970-12-31T22:59Z", SUSPECT),
        ("0001-01-01", SUSPECT),
        ("1900-01-01", SUSPECT),
        ("9999-12-31", ENDLESS),
        ("1971-01-01", date(1971, 1, 1)),
    ],
)
def test_dates_that_cannot_be_true_are_suspect(raw: object, value: ClockValue) -> None:
    record = Record("contract", ("crm",), "contracts", timezone="Europe/Brussels")
    assert clock_value(raw, ClockType.TEXT_DATETIME, record, "ended_at") == value


def test_a_record_says_what_null_means_and_how_a_column_is_written() -> None:
    record = Record("c", ("crm",), "c", formats=(("paid", "%d.%m.%Y"),), never_happened=("mailed",))
    assert clock_value(None, ClockType.NAIVE, record, "mailed") is NEVER
    assert clock_value(None, ClockType.NAIVE, record, "other") is RUNNING
    assert clock_value("01.02.2021", ClockType.PATTERN, record, "paid") == date(2021, 2, 1)


OLD, NEW = date(2015, 1, 1), at("2020-01-01 10:00")


@pytest.mark.parametrize(
    ("which", "values", "combined"),
    [
        ("last", [], NEVER),
        ("last", [OLD, NEW], NEW),
        ("last", [OLD, NEW, RUNNING], RUNNING),
        ("last", [OLD, RUNNING, SUSPECT], SUSPECT),
        ("last", [OLD, NEVER], OLD),
        ("last", [NEVER, NEVER], NEVER),
        ("last", [OLD, ENDLESS], ENDLESS),
        ("last", [ENDLESS, RUNNING], RUNNING),
        ("first", [], NEVER),
        ("first", [NEW, OLD], OLD),
        ("first", [RUNNING, NEW], NEW),
        ("first", [RUNNING], RUNNING),
        ("first", [NEVER], NEVER),
        ("first", [NEVER, RUNNING], RUNNING),
        ("first", [ENDLESS, NEW], NEW),
        ("first", [ENDLESS, RUNNING], ENDLESS),
        ("first", [OLD, SUSPECT], SUSPECT),
        (None, [], RUNNING),
        (None, [OLD], OLD),
        (None, [RUNNING], RUNNING),
        (None, [NEVER], NEVER),
        (None, [ENDLESS], ENDLESS),
        (None, [SUSPECT], SUSPECT),
    ],
)
def test_several_rows_are_read_as_one(which: Which | None, values: list[ClockValue], combined: ClockValue) -> None:
    assert combine(values, term(which), BRUSSELS) == combined


def test_the_last_of_several_is_the_one_due_last() -> None:
    day, moment = date(2024, 3, 30), at("2024-03-30 23:59")
    assert combine([moment, day], term("last"), BRUSSELS) == day  # a date lasts to its midnight
    missing, later = at("2024-03-31 02:30"), at("2024-03-31 03:10")
    assert combine([missing, later], term("last"), BRUSSELS) == missing  # 02:30 does not exist and is read as 03:30
    assert combine([missing, later], term("first"), BRUSSELS) == later


readings = st.one_of(
    st.dates(date(2023, 10, 20), date(2024, 4, 10)),
    st.datetimes(at("2024-03-30 00:00"), at("2024-04-01 00:00")),
    st.datetimes(at("2024-03-30 00:00"), at("2024-04-01 00:00"), timezones=st.just(UTC)),
)


@given(
    st.lists(readings, min_size=1, max_size=4),
    st.sampled_from([None, Period(1, 0, 0, ""), Period(0, 0, 3600, "")]),
    st.sampled_from([None, "month"]),
)
def test_due_by_the_last_is_due_by_all(values: Sequence[date], period: Period | None, end_of: EndOf | None) -> None:
    dues = [due_instant(period, end_of, value, BRUSSELS) for value in values]
    last = combine(values, term("last", period, end_of), BRUSSELS)
    first = combine(values, term("first", period, end_of), BRUSSELS)
    assert isinstance(last, date)
    assert isinstance(first, date)
    assert due_instant(period, end_of, last, BRUSSELS) == max(due for due in dues if due)
    assert due_instant(period, end_of, first, BRUSSELS) == min(due for due in dues if due)
