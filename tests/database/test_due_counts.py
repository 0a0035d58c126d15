"""
Due counts of a table of rules at chosen instants, on each engine, against an oracle that shares nothing with us.

Every rule has rows at its very boundaries: the last second that is due and the first that is not, a microsecond beside
each, local times that exist twice or not at all, the ends of months.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.database.naive_calendar import (
    DAY,
    SECOND,
    Span,
    Value,
    due,
    first_undue_day,
    first_undue_second,
    start_of,
    turns,
)
from tests.database.worlds import Row, World, dialect, document

TICK = timedelta(microseconds=1)
YEAR, MONTH = Span(years=1), Span(months=1)


@dataclass(frozen=True)
class Case:
    """A rule on one column, and what the oracle is told of it."""

    column: str
    keep: str
    span: Span
    zone: str

    @property
    def dates_only(self) -> bool:
        return self.column in ("day", "german")


CASES = (
    Case("day", "10 years after day", Span(years=10), "Europe/Brussels"),
    Case("day", "until day", Span(), "America/New_York"),
    Case("day", "P6M after day", Span(months=6), "Asia/Kolkata"),
    Case("day", "48 hours after day", Span(seconds=48 * 3600), "America/Sao_Paulo"),
    Case("day", "at most 7 years after end of year of day", Span(years=7, end_of="year"), "Europe/Brussels"),
    Case("day", "1 year and 1 month after day", Span(years=1, months=1), "Pacific/Apia"),
    Case("plain", "18 months after plain", Span(months=18), "Europe/Brussels"),
    Case("plain", "until plain", Span(), "Europe/Brussels"),
    Case("plain", "72 hours after plain", Span(seconds=72 * 3600), "America/New_York"),
    Case("plain", "1 day after plain", Span(days=1), "America/Sao_Paulo"),
    Case("plain", "1 month after end of quarter of plain", Span(months=1, end_of="quarter"), "Australia/Lord_Howe"),
    Case("plain", "P1Y6M after plain", Span(years=1, months=6), "Pacific/Apia"),
    Case("plain", "30 minutes after plain", Span(seconds=1800), "Australia/Lord_Howe"),
    Case("zoned", "1 year after zoned", YEAR, "Europe/Brussels"),
    Case("zoned", "until zoned", Span(), "America/New_York"),
    Case("zoned", "24 months and 3 days after zoned", Span(months=24, days=3), "Pacific/Apia"),
    Case("zoned", "1 hour, 30 minutes after zoned", Span(seconds=5400), "Asia/Kolkata"),
    Case("zoned", "2 weeks after end of month of zoned", Span(days=14, end_of="month"), "America/Sao_Paulo"),
    Case("zoned", "until end of year of zoned", Span(end_of="year"), "Asia/Kolkata"),
    Case("seconds", "1 year after seconds", YEAR, "Europe/Brussels"),
    Case("millis", "36 hours after millis", Span(seconds=36 * 3600), "Australia/Lord_Howe"),
    Case("millis", "until millis", Span(), "UTC"),
    Case("iso", "3 months after iso", Span(months=3), "Europe/Brussels"),
    Case("iso", "until iso", Span(), "America/New_York"),
    Case("iso", "PT72H after iso", Span(seconds=72 * 3600), "America/Sao_Paulo"),
    Case("german", "1 month after german", MONTH, "Pacific/Apia"),
    Case("compact", "12 hours after compact", Span(seconds=12 * 3600), "America/New_York"),
    Case("compact", "20 years after compact", Span(years=20), "Asia/Kolkata"),
)
FORMATS = {
    "seconds": "epoch s",
    "millis": "epoch ms",
    "iso": "iso",
    "german": "%d.%m.%Y",
    "compact": "%Y%m%d %H:%M:%S",
}
TYPES = {
    "sqlite": {"day": "DATE", "plain": "DATETIME", "zoned": "TIMESTAMP"},
    "postgresql": {"day": "date", "plain": "timestamp", "zoned": "timestamptz"},
    "mariadb": {"day": "date NULL", "plain": "datetime(6) NULL", "zoned": "timestamp(6) NULL DEFAULT NULL"},
}
TEXT_OR_NUMBER = {name: "bigint" if name in ("seconds", "millis") else "varchar(60)" for name in FORMATS}


def instants(case: Case) -> list[datetime]:
    """Midnights of the rule's zone to the second, and the hours in which its clocks are turned."""
    zone = ZoneInfo(case.zone)
    leap_day, first_of_march, new_year = (
        start_of(day, zone) for day in (date(2024, 2, 29), date(2025, 3, 1), date(2026, 1, 1))
    )
    turned = [*turns(zone, 2011)[-1:], *turns(zone, 2018)[:1]]
    return [leap_day - SECOND, leap_day, first_of_march, new_year - SECOND, new_year, *turned]


def boundary_values(case: Case, at: datetime) -> list[Value]:
    """Values beside the boundary of a rule at an instant."""
    zone = ZoneInfo(case.zone)
    if case.dates_only:
        day = first_undue_day(at, case.span, zone)
        return [day + number * DAY for number in (-400, -2, -1, 0, 1, 400)]
    edge = first_undue_second(at, case.span, zone)
    steps = [number * timedelta(minutes=30) for number in range(-4, 5)]
    steps += [-SECOND, SECOND, TICK, -TICK, -900 * DAY, 900 * DAY, timedelta(milliseconds=1), -timedelta(hours=24)]
    aware = [edge + step for step in steps]
    if case.column in ("seconds", "millis"):
        unit = SECOND if case.column == "seconds" else timedelta(milliseconds=1)
        return [moment - (moment - datetime(2000, 1, 1, tzinfo=UTC)) % unit for moment in aware]
    if case.column == "zoned":
        return list(aware)
    naive = [moment.astimezone(zone).replace(tzinfo=None) for moment in aware]
    naive += [datetime.combine(one.date(), time.min) for one in naive[:1]]
    naive += [
        earlier + timedelta(minutes=30)
        for earlier, after in pairwise(naive[:9])
        if after - earlier > timedelta(minutes=30)
    ]
    naive += [naive[4] + timedelta(minutes=number) for number in range(-90, 90, 36)]  # may lie in a gap
    if case.column == "compact":
        return [moment.replace(microsecond=0) for moment in naive]
    if case.column == "iso":
        days: list[Value] = [naive[4].date() + number * DAY for number in (-1, 0, 1)]
        return [*days, *naive, *aware]
    return list(naive)


def written(column: str, value: Value, engine: str, number: int) -> object:
    """The value as the column holds it; texts take turns in how they say it."""
    if column == "german":
        return value.strftime("%d.%m.%Y")
    if not isinstance(value, datetime):
        return value.isoformat()
    if column == "compact":
        return value.strftime("%Y%m%d %H:%M:%S")
    if column in ("seconds", "millis"):
        microseconds = (value - datetime(1970, 1, 1, tzinfo=UTC)) // TICK
        return microseconds // (1_000_000 if column == "seconds" else 1000)
    offsets = (0, 330, -150)
    if value.tzinfo and (column == "iso" or engine == "sqlite"):
        offset = offsets[number % 3]
        local = value.astimezone(UTC).replace(tzinfo=None) + timedelta(minutes=offset)
        return _text(local, number) + ("Z" if not offset else "+05:30" if offset > 0 else "-0230")
    utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if column == "iso" or engine == "sqlite":
        return _text(utc, number)
    return utc.isoformat(" ") + ("+00" if value.tzinfo and engine == "postgresql" else "")


def _text(local: datetime, number: int) -> str:
    text = local.isoformat("T" if number % 2 else " ")
    if not local.microsecond and number % 5 == 0:
        return text + ".000"
    if not local.microsecond and not local.second and number % 7 == 0:
        return text[:16]
    return text + "000" if local.microsecond and number % 4 == 0 else text


def test_the_table_of_rules_is_large_enough() -> None:
    assert len(CASES) >= 24
    assert len({case.zone for case in CASES}) >= 6
    assert all(len(set(instants(case))) >= 5 for case in CASES)


@pytest.mark.parametrize(
    ("value", "span", "zone", "instant"),
    [
        # 29 February and a year: the last of February; gone from the midnight after it.
        (date(2016, 2, 29), Span(years=10), "Europe/Brussels", "2026-02-28T23:00Z"),
        # A contract that ended on 31 August at noon, half a year: through 28 February.
        (datetime.fromisoformat("2025-08-31 12:00"), Span(months=6), "Europe/Brussels", "2026-02-28T23:00Z"),
        # 22:30 UTC on 30 June is 1 July in Brussels.
        (datetime.fromisoformat("2025-06-30T22:30Z"), YEAR, "Europe/Brussels", "2026-07-01T22:00Z"),
        # 02:30 on the day clocks go forward does not exist, on the day they go back twice.
        (datetime.fromisoformat("2026-03-29 02:30"), Span(), "Europe/Brussels", "2026-03-29T01:30Z"),
        (datetime.fromisoformat("2026-10-25 02:30"), Span(), "Europe/Brussels", "2026-10-25T01:30Z"),
        # In São Paulo, on 4 November 2018, the day began at one o'clock.
        (datetime.fromisoformat("2018-11-02 12:00"), Span(days=1), "America/Sao_Paulo", "2018-11-04T03:00Z"),
        (date(2018, 5, 17), Span(years=7, end_of="year"), "Europe/Brussels", "2025-12-31T23:00Z"),
        (date(2025, 2, 10), Span(months=1, end_of="quarter"), "Europe/Brussels", "2025-04-30T22:00Z"),
    ],
)
def test_the_oracle_knows_what_was_worked_out_by_hand(value: Value, span: Span, zone: str, instant: str) -> None:
    assert due(value, span, ZoneInfo(zone)) == datetime.fromisoformat(instant)


def test_due_counts(engine_url: str, tmp_path: Path) -> None:
    engine = dialect(engine_url)
    world = World(tmp_path, {"db": engine_url})
    types = {**TYPES[engine], **TEXT_OR_NUMBER}
    values = [[value for at in instants(case) for value in boundary_values(case, at)] for case in CASES]
    world.carry_out(
        "db",
        *(
            f"CREATE TABLE things_{number} (id bigint PRIMARY KEY, {case.column} {types[case.column]})"
            for number, case in enumerate(CASES)
        ),
    )
    world.fill("db", {f"things_{number}": _rows(case, values[number], engine) for number, case in enumerate(CASES)})
    wrong = []
    with world.sources() as sources:
        for number, case in enumerate(CASES):
            record = {"source": "db", "table": f"things_{number}", "timezone": case.zone, "format": _format(case)}
            rule = {"record": "thing", "keep": case.keep, "then": "delete"}
            _, jobs = world.compile(document({"thing": record}, [rule]), sources)
            dues = [due(value, case.span, ZoneInfo(case.zone)) for value in values[number]]
            for at in instants(case):
                (report,) = world.plan(jobs, sources, at)
                expected = (sum(one <= at for one in dues), 0, 0, len(dues), min(dues))
                found = (report.due, report.suspect, report.not_started, report.total, report.oldest_due)
                if found != expected:
                    wrong.append((case.keep, case.zone, str(at), expected, found))
    assert not wrong, "\n".join(map(str, wrong))


def _rows(case: Case, values: list[Value], engine: str) -> list[Row]:
    return [
        {"id": number, case.column: written(case.column, value, engine, number)} for number, value in enumerate(values)
    ]


def _format(case: Case) -> dict[str, str]:
    return {case.column: FORMATS[case.column]} if case.column in FORMATS else {}


@pytest.mark.parametrize(
    ("keep", "reads"),
    [
        ("1 year after last child.plain", max),
        ("1 year after first child.plain", min),
        ({"whichever comes first": ["1 year after plain", "2 years after zoned"]}, min),
        ({"whichever comes last": ["1 year after plain", "2 years after zoned"]}, max),
    ],
    ids=["last", "first", "whichever first", "whichever last"],
)
def test_due_counts_of_several_clocks(engine_url: str, tmp_path: Path, keep: object, reads: object) -> None:
    assert reads in (min, max)
    choose = min if reads is min else max
    zone, engine = ZoneInfo("Europe/Brussels"), dialect(engine_url)
    case = Case("plain", "", YEAR, zone.key)
    world = World(tmp_path, {"db": engine_url})
    kinds = TYPES[engine]
    world.carry_out(
        "db",
        f"CREATE TABLE things (id bigint PRIMARY KEY, plain {kinds['plain']}, zoned {kinds['zoned']})",
        f"CREATE TABLE children (id bigint PRIMARY KEY, thing_id bigint, plain {kinds['plain']})",
        "CREATE INDEX of_thing ON children (thing_id)",
    )
    values = [value for at in instants(case) for value in boundary_values(case, at) if isinstance(value, datetime)]
    things: list[Row] = []
    children: list[Row] = []
    dues: list[datetime] = []
    for number, value in enumerate(values):
        other = values[(number * 7 + 3) % len(values)]
        zoned = other.replace(tzinfo=UTC) - 366 * DAY
        thing = {"id": number, "plain": written("plain", value, engine, number)}
        things.append({**thing, "zoned": written("zoned", zoned, engine, number)})
        for place, one in enumerate((value, other)):
            text = written("plain", one, engine, number + place)
            children.append({"id": 2 * number + place, "thing_id": number, "plain": text})
        second = due(other, YEAR, zone) if "child" in str(keep) else due(zoned, Span(years=2), zone)
        dues.append(choose(due(value, YEAR, zone), second))
    world.fill("db", {"things": things, "children": children})
    records = {
        "thing": {"source": "db", "table": "things"},
        "child": {"source": "db", "table": "children", "belongs_to": {"thing": "thing_id"}},
    }
    rule = {"record": "thing", "keep": keep, "then": "delete"}
    with world.sources() as sources:
        _, jobs = world.compile(document(records, [rule], timezone=zone.key), sources)
        for at in instants(case):
            (report,) = world.plan(jobs, sources, at)
            past = [one for one in dues if one <= at]
            assert (report.due, report.suspect, report.not_started) == (len(past), 0, 0)
            assert report.oldest_due == min(past)
