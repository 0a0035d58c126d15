"""The compiled SQL and the row evaluator say the same of every row: its class, whether it is due, since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from retentiond.catalog.model import Family
from retentiond.compiler.clock_sql import TEXTS
from retentiond.compiler.clock_types import clock_type
from retentiond.compiler.plan import Job, Relation
from retentiond.compiler.tables import table_of
from retentiond.engine.examine import examine
from retentiond.engine.session import Session
from retentiond.engine.sources import Sources
from retentiond.errors import PolicyError, RetentiondError
from retentiond.policy.clocks import ClockType
from retentiond.policy.evaluator import ClockTypes, Verdict, _Scene, evaluate_row
from retentiond.policy.model import Policy, Rule
from tests.database.random_worlds import (
    CLOCKS,
    CONDITION_TYPES,
    FORMATS,
    MISCHIEF,
    NEVER_HAPPENED,
    Said,
    Values,
    columns,
    conditions,
    facts,
    keeps,
    moments,
)
from tests.database.worlds import Row, World, dialect, document

NAMES = {
    Verdict.SUSPECT: "suspect",
    Verdict.NOT_STARTED: "not_started",
    Verdict.NOT_YET: "not_yet",
    Verdict.HELD: "held",
    Verdict.FLOORED: "floored",
    Verdict.DUE: "due",
}
Related = Callable[[Row], Mapping[str, Sequence[Row]]]
SLOW = settings(
    max_examples=6,
    # A failure shows the rows that it is about; to shrink the rules around them would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass
class Judged:
    """What the row evaluator says of every row of a job's table."""

    classes: dict[tuple[Any, ...], str]
    since: dict[tuple[Any, ...], object]
    rows: dict[tuple[Any, ...], Row]


def read_rows(session: Session, relation: Relation) -> list[Row]:
    """Every row of a table as the driver hands it over; whole decimals, which SQLite keeps as integers, as floats."""
    names = [column.name for column in relation.columns]
    rows = [dict(zip(names, row, strict=True)) for row in session.read(relation.source, sa.select(table_of(relation)))]
    for column in relation.columns:
        if column.family is Family.DECIMAL and relation.dialect == "sqlite":
            for row in rows:
                row[column.name] = None if row[column.name] is None else float(row[column.name])
    return rows


def types_of(policy: Policy, relations: Mapping[str, Relation]) -> ClockTypes:
    """How the clocks of each record are stored."""
    found: dict[tuple[str, str], ClockType] = {}
    for name, relation in relations.items():
        record = policy.record(name)
        for column in relation.columns:
            kind = clock_type(column, record.format_of(column.name))
            if isinstance(kind, ClockType):
                found[name, column.name] = kind
    return found


def judge(
    policy: Policy, rule: Rule, job: Job, rows: Iterable[Row], related: Related, at: datetime, types: ClockTypes
) -> Judged:
    judged = Judged({}, {}, {})
    for row in rows:
        key = tuple(row[name] for name in job.step.relation.key)
        around = related(row)
        verdict = evaluate_row(policy, rule, row, around, at, types)
        judged.rows[key] = row
        if verdict is None:
            continue
        judged.classes[key] = NAMES[verdict]
        judged.since[key] = _Scene(policy, {rule.record: (row,), **around}, at, types).judge(rule, row)
    return judged


def compare(world: World, job: Job, sources: Sources, at: datetime, judged: Judged) -> None:
    """The dry run's counts, the keys it shows and what it examines are what the evaluator says."""
    with Session(sources, apply=False) as session, session.transaction() as transaction:
        candidates = examine(job, at, transaction, list(judged.rows), ())
    if not job.cascade:
        examined = {candidate.key: candidate.verdict(job) for candidate in candidates}
        if examined != judged.classes:
            raise AssertionError(_differences(examined, judged))
    due = {key for key, name in judged.classes.items() if name == "due"}
    shown = world.due_keys(job, sources, at)
    assert len(shown) == len(set(shown))
    if set(shown) != due:
        raise AssertionError("\n".join(str(judged.rows[key]) for key in set(shown) ^ due))
    (report,) = world.plan([job], sources, at)
    counted = Counter(judged.classes.values())
    expected = {name: counted[name] for name in ("due", "held", "floored", "not_started", "suspect")}
    assert {name: getattr(report, name) for name in expected} == expected
    assert report.total == len(judged.rows)
    compare_oldest(job, report.oldest_due, judged, due)


def compare_oldest(job: Job, told: datetime | None, judged: Judged, due: set[tuple[Any, ...]]) -> None:
    """
    Since when the most overdue row has been due. Among related texts and local times that do not exist, the database
    picks by the clock what we pick by its due date: there hours may lie between the two.
    """
    since = [instant for key in due if isinstance(instant := judged.since[key], datetime)]
    oldest = min(since, default=None)
    if told == oldest:
        return
    rows = "\n".join(str(judged.rows[key]) for key in due if judged.since[key] in (oldest, told))
    sqlite = job.step.relation.dialect == "sqlite"
    mixed = not sqlite and any(clock.hops and set(clock.types) & set(TEXTS) for clock in job.expiry.clocks)
    doubtful = any(set(clock.types) & {*TEXTS, ClockType.NAIVE} for clock in job.expiry.clocks)
    slack = timedelta(hours=50 if mixed else 1 if doubtful else 0)
    assert told is not None, rows
    assert oldest is not None, rows
    assert abs(told - oldest) <= slack, f"sql {told}, rows {oldest}\n{rows}"


def _differences(examined: Mapping[tuple[Any, ...], str], judged: Judged) -> str:
    keys = [key for key in judged.rows if examined.get(key) != judged.classes.get(key)]
    return "\n".join(f"sql {examined.get(key)}, row {judged.classes.get(key)}: {judged.rows[key]}" for key in keys)


@pytest.fixture
def single(engine_url: str, tmp_path: Path) -> World:
    """One table with clocks of every kind."""
    world = World(tmp_path, {"db": engine_url})
    engine = dialect(engine_url)
    parts = ["id integer PRIMARY KEY", "hold boolean", CONDITION_TYPES[engine], columns(engine)]
    world.carry_out("db", f"CREATE TABLE things ({', '.join(parts)})")
    return world


@SLOW
@given(
    moments(),
    st.lists(keeps(st.sampled_from(CLOCKS)), min_size=3, max_size=3),
    st.sampled_from(["1971-01-01", "1900-01-01", "2010-06-15", "0001-01-01"]),
    st.integers(0, 2**32),
)
def test_own_clocks(
    single: World, moment: tuple[str, datetime], saids: list[Said], plausible_from: str, seed: int
) -> None:
    zone, at = moment
    lengths = tuple(length for said in saids for length in said.lengths)
    values = Values(seed, dialect(single.urls["db"]), zone, at, lengths)
    random = Random(seed)
    rows = [
        {"id": number, "hold": random.choice([None, False, True, False]), **facts(random), **values.row()}
        for number in range(40)
    ]
    single.fill("db", {"things": rows})
    record = {
        "source": "db",
        "table": "things",
        "held": "hold",
        "timezone": zone,
        "format": FORMATS,
        "plausible_from": plausible_from,
        "empty": dict.fromkeys(NEVER_HAPPENED, "never happened"),
    }
    with single.sources() as sources:
        for said in saids:
            check_single(single, sources, record, [{"record": "thing", "keep": said.keep, "then": "delete"}], at)


def check_single(
    world: World, sources: Sources, record: Mapping[str, object], rules: Sequence[Mapping[str, object]], at: datetime
) -> None:
    policy, jobs = world.compile(document({"thing": record}, rules, overlap="earliest wins"), sources)
    with Session(sources, apply=False) as session:
        rows = read_rows(session, jobs[0].step.relation)
    types = types_of(policy, {"thing": jobs[0].step.relation})
    for job in jobs:
        judged = judge(policy, policy.rule(job.rule), job, rows, lambda row: {}, at, types)
        compare(world, job, sources, at, judged)


@SLOW
@given(moments(), st.lists(conditions(), min_size=6, max_size=6), st.integers(0, 2**32))
def test_conditions(single: World, moment: tuple[str, datetime], wheres: list[str], seed: int) -> None:
    _, at = moment
    random = Random(seed)
    rows: list[Row] = [{"id": number, **facts(random), "d": "2001-01-01"} for number in range(60)]
    single.fill("db", {"things": rows})
    record = {"source": "db", "table": "things"}
    with single.sources() as sources:
        for where in wheres:
            rule = {"record": "thing", "where": where, "keep": "1 year after d", "then": "delete"}
            floor = {"record": "thing", "where": where, "keep": "at least 90 years after d", "then": "nothing"}
            other = {"record": "thing", "keep": "1 year after d", "then": "delete"}
            try:
                check_single(single, sources, record, [rule], at)
                check_single(single, sources, record, [floor, other], at)
            except PolicyError as error:
                if not {problem.code for problem in error.problems} <= {"unlike-types", "bad-where"}:
                    raise
            except (AssertionError, RetentiondError) as wrong:
                raise AssertionError(f"{where}: {wrong} {wrong.__cause__}") from wrong


LINKS = {"thing": ("owner", "owner_id"), "note": ("owner", "owner_id"), "part": ("thing", "thing_id")}
TABLES = {"owner": "owners", "thing": "things", "note": "notes", "part": "parts"}
PATHS = {
    "owner": ("last thing", "first thing", "last note", "last part", "first part"),
    "thing": ("owner", "last part", "first part", "last note", "first note"),
    "note": ("owner", "last thing", "first thing", "last part"),
    "part": ("thing", "owner", "last note", "first note"),
}


@pytest.fixture
def family(engine_url: str, tmp_path: Path) -> World:
    """Owners with things and notes, things with parts; no foreign keys, so that rows may lead nowhere."""
    world = World(tmp_path, {"db": engine_url})
    clocks = columns(dialect(engine_url))
    for name, table in TABLES.items():
        link = f"{LINKS[name][1]} integer, " if name in LINKS else ""
        world.carry_out(
            "db", f"CREATE TABLE {table} (id integer PRIMARY KEY, {link}hold boolean, kind integer, {clocks})"
        )
    return world


@st.composite
def journeys(draw: st.DrawFn) -> tuple[str, Said]:
    """A record, and a keep whose clocks are its own and those of related rows."""
    record = draw(st.sampled_from(sorted(PATHS)))
    clocks = st.sampled_from([f"{path}.{clock}" for path in PATHS[record] for clock in ("d", "n", "z", "iso", "em")])
    return record, draw(keeps(clocks | clocks | st.sampled_from(CLOCKS)))


def family_rows(values: Values, random: Random, *, loose: bool = True) -> dict[str, list[Row]]:
    """Rows of all four tables; some links are empty or lead nowhere."""
    sizes = {"owner": 8, "thing": 16, "note": 16, "part": 24}
    tables: dict[str, list[Row]] = {}
    for name, size in sizes.items():
        rows: list[Row] = []
        for number in range(1, size + 1):
            row: Row = {"id": number}
            if name in LINKS:
                parent, column = LINKS[name]
                row[column] = random.choice([*range(1, sizes[parent] + 1), *([None, 999] if loose else [])])
            row |= {"hold": random.random() < 0.1, "kind": random.choice([1, 2, None])}
            rows.append(row | values.row(mischief=0.03))
        tables[name] = rows
    return tables


def around(record: str, tables: Mapping[str, list[Row]]) -> Related:
    """For a row of `record` the rows of the other records that its clocks may speak of, link by link."""

    def children(parent: str, child: str, parents: Sequence[Row]) -> list[Row]:
        ids = {row["id"] for row in parents}
        return [row for row in tables[child] if row[LINKS[child][1]] in ids]

    def parents(child: str, rows: Sequence[Row]) -> list[Row]:
        parent, column = LINKS[child]
        ids = {row[column] for row in rows}
        return [row for row in tables[parent] if row["id"] in ids]

    def find(row: Row) -> dict[str, Sequence[Row]]:
        found: dict[str, Sequence[Row]] = {record: [row]}
        if record == "part":
            found["thing"] = parents("part", [row])
        if record == "thing":
            found["part"] = children("thing", "part", [row])
        if record != "owner":
            nearest = "thing" if record == "part" else record
            found["owner"] = parents(nearest, found[nearest])
        for name in ("thing", "note"):
            if name not in found:
                found[name] = children("owner", name, found["owner"])
        found.setdefault("part", children("thing", "part", found["thing"]))
        del found[record]
        return found

    return find


def family_records(zone: str, **more: Mapping[str, object]) -> dict[str, dict[str, object]]:
    records: dict[str, dict[str, object]] = {}
    for name, table in TABLES.items():
        record: dict[str, object] = {"source": "db", "table": table, "timezone": zone, "format": FORMATS}
        record["empty"] = dict.fromkeys(NEVER_HAPPENED, "never happened")
        if name in LINKS:
            parent, column = LINKS[name]
            record["belongs_to"] = {parent: column}
        records[name] = record | dict(more.get(name, {}))
    return records


@SLOW
@given(moments(), st.lists(journeys(), min_size=3, max_size=3), st.integers(0, 2**32))
def test_related_clocks(family: World, moment: tuple[str, datetime], rules: list[tuple[str, Said]], seed: int) -> None:
    zone, at = moment
    fill_family(family, zone, at, [said for _, said in rules], seed)
    with family.sources() as sources:
        for record, said in rules:
            rule = {"record": record, "keep": said.keep, "then": "delete"}
            check_family(family, sources, family_records(zone), [rule], at)


@SLOW
@given(moments(), journeys(), st.lists(journeys(), min_size=2, max_size=2), st.integers(0, 2**32))
def test_holds_floors_and_cascades(
    family: World, moment: tuple[str, datetime], main: tuple[str, Said], others: list[tuple[str, Said]], seed: int
) -> None:
    """A deletion that takes parts and notes along; floors on every table, holds on some."""
    zone, at = moment
    record, said = main
    own = [one for path, one in others if path == record and isinstance(one.keep, str)]
    fill_family(family, zone, at, [said, *own], seed)
    cascade = {"owner": ["thing", "note"], "thing": ["part"]}
    records = family_records(
        zone,
        owner={"cascade": cascade["owner"], "held": "hold"},
        thing={"cascade": cascade["thing"]},
        note={"held": "hold"},
    )
    floors: list[dict[str, object]] = [
        {"record": record, "keep": f"at least {one.keep}", "then": "nothing", "where": "kind = 1"} for one in own
    ]
    floors.append({"record": "part", "keep": "at least 1 month after n", "then": "nothing", "columns": ["p"]})
    floors.append({"record": "thing", "keep": "at least 1 year after d", "then": "nothing", "where": "kind <> 1"})
    rule = {"record": record, "keep": said.keep, "then": "delete"}
    with family.sources() as sources:
        check_family(family, sources, records, [rule, *floors], at)


def fill_family(world: World, zone: str, at: datetime, saids: Sequence[Said], seed: int) -> None:
    lengths = tuple(length for said in saids for length in said.lengths)
    values = Values(seed, dialect(world.urls["db"]), zone, at, lengths)
    tables = family_rows(values, Random(seed))
    world.fill("db", {TABLES[name]: rows for name, rows in tables.items()})


def check_family(
    world: World,
    sources: Sources,
    records: Mapping[str, Mapping[str, object]],
    rules: Sequence[Mapping[str, object]],
    at: datetime,
) -> None:
    policy, jobs = world.compile(document(records, rules), sources)
    with Session(sources, apply=False) as session:
        catalog = world.relations(policy)
        tables = {name: read_rows(session, relation) for name, relation in catalog.items()}
    types = types_of(policy, catalog)
    for job in jobs:
        rows, related = tables[job.record], around(job.record, tables)
        try:
            judged = judge(policy, policy.rule(job.rule), job, rows, related, at, types)
            compare(world, job, sources, at, judged)
        except AssertionError as wrong:
            raise AssertionError(f"{rules}: {wrong}") from wrong


def test_a_floored_row_with_a_held_child_is_held(family: World) -> None:
    at = datetime.fromisoformat("2026-01-01T00:00Z")
    empty = Values(0, dialect(family.urls["db"]), "UTC", at, ()).row(nulls=1)
    owner = {"id": 1, "hold": False, "kind": 1, **empty, "d": "2020-01-01"}
    note = {"id": 1, "owner_id": 1, "hold": True, "kind": 1, **empty}
    family.fill("db", {"owners": [owner, owner | {"id": 2}], "things": [], "notes": [note], "parts": []})
    records = family_records("UTC", owner={"cascade": ["note"]}, note={"held": "hold"})
    rules: list[Mapping[str, object]] = [
        {"record": "owner", "keep": "1 year after d", "then": "delete"},
        {"record": "owner", "keep": "at least 20 years after d", "then": "nothing"},
    ]
    with family.sources() as sources:
        check_family(family, sources, records, rules, at)
        _, jobs = family.compile(document(records, rules), sources)
        (report,) = family.plan(jobs, sources, at)
        assert (report.due, report.held, report.floored) == (0, 1, 1)


@pytest.mark.parametrize("plausible_from", ["1971-01-01", "0001-01-01"])
def test_every_kind_of_mischief(single: World, plausible_from: str) -> None:
    """Malformed texts, sentinels, the ends of time: each of them once, in each column that can hold it."""
    at = datetime.fromisoformat("2044-02-29T12:00Z")
    mischief = MISCHIEF[dialect(single.urls["db"])]
    rows: list[Row] = []
    for name in CLOCKS:
        for value in mischief[name]:
            rows.append({"id": len(rows), **dict.fromkeys(CLOCKS), name: value})
    for text in (
        "2043-02-28 23:59:59+14:00",
        "2043-03-01 13:59:59+1400",
        "2043-02-28 10:00:00-14",
        "2044-02-29 12:00Z",
    ):
        rows.append({"id": len(rows), **dict.fromkeys(CLOCKS), "iso": text})
    single.fill("db", {"things": rows})
    record = {"source": "db", "table": "things", "format": FORMATS, "plausible_from": plausible_from}
    with single.sources() as sources:
        for name in CLOCKS:
            for keep in (f"until {name}", f"1 year after {name}"):
                check_single(single, sources, record, [{"record": "thing", "keep": keep, "then": "delete"}], at)
