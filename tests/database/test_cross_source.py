"""Records in different databases of different engines: the same answers as if they stood side by side."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta

from retentiond.engine.session import Session
from retentiond.engine.shipping import plain
from tests.database.random_worlds import FORMATS, NEVER_HAPPENED, Values, columns
from tests.database.test_equivalence import compare, judge, read_rows, types_of
from tests.database.worlds import Row, World, counts, document

AT = datetime(2026, 3, 29, 22, 0, 0, tzinfo=UTC)  # a midnight in Brussels, hours after its clocks went forward
ZONE = "Europe/Brussels"
LENGTHS = (relativedelta(), relativedelta(years=1), relativedelta(months=1), relativedelta(hours=72))
ENGINES = ("postgresql", "mariadb", "sqlite")
MARKS = {"postgresql": [pytest.mark.postgresql], "mariadb": [pytest.mark.mariadb], "sqlite": []}
PAIRS = [
    pytest.param(near, far, marks=[*MARKS[near], *MARKS[far]], id=f"{near}-{far}")
    for near in ENGINES
    for far in ENGINES
    if near != far
]
KEY_TYPES = {
    "int": dict.fromkeys(ENGINES, "bigint"),
    "text": dict.fromkeys(ENGINES, "varchar(40)"),
    "uuid": {"postgresql": "uuid", "mariadb": "uuid", "sqlite": "text"},
}
WORDS = ("a", "b", "b ", " b", "é", "e", "Ω", "ß", "😀", "it's", 'say "x"', "back\\slash", "a%", "10", "010", "null")
STRANGERS = ("A", "B", "b  ", "E", "É", "ω", "ss", "")  # keys that some collation takes for others
KEEPS: tuple[tuple[str, object], ...] = (
    ("customer", "1 year after last contract.n"),
    ("customer", "until first contract.z"),
    ("customer", {"whichever comes last": ["1 month after n", "72 hours after last contract.iso"]}),
    ("customer", {"whichever comes first": ["1 year after d", "1 month after end of month of last contract.d"]}),
    ("contract", "1 month after customer.z"),
    ("contract", {"whichever comes last": ["1 year after last letter.em", "until n"]}),
    ("letter", "1 year after last contract.n"),
    ("letter", {"whichever comes last": ["until z", "1 month after first contract.d"]}),
)
TABLES = {"customer": "customers", "contract": "contracts", "letter": "letters"}


def keys(kind: str, random: Random) -> list[object]:
    if kind == "int":
        return [1, 2, 3, 7, 2**31, 2**62, -5, *range(100, 110)]
    if kind == "uuid":
        return [str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(16)]
    return list(WORDS)


def make(world: World, source: str, engine: str, kind: str, *names: str) -> None:
    key = KEY_TYPES[kind][engine]
    exact = " COLLATE utf8mb4_nopad_bin" if (kind, engine) == ("text", "mariadb") else ""
    for name in names:
        link = "" if name == "customer" else f"customer_ref {key}, "
        own = key + exact if name == "customer" else "integer"
        world.carry_out(source, f"CREATE TABLE {TABLES[name]} (id {own} PRIMARY KEY, {link}{columns(engine)})")


def rows(name: str, engine: str, ids: Sequence[object], refs: Sequence[object], seed: int) -> list[Row]:
    random = Random(seed)
    values = Values(seed, engine, ZONE, AT, LENGTHS)
    found: list[Row] = []
    for key in ids:
        row: Row = {"id": key}
        if name != "customer":
            row["customer_ref"] = random.choice(refs)
        found.append(row | values.row(mischief=0.02))
    return found


def records(sources: Mapping[str, object]) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for name, table in TABLES.items():
        record: dict[str, object] = {"source": sources[name], "table": table, "timezone": ZONE, "format": FORMATS}
        record["empty"] = dict.fromkeys(NEVER_HAPPENED, "never happened")
        if name != "customer":
            record["belongs_to"] = {"customer": "customer_ref"}
        found[name] = record
    return found


def related(name: str, tables: Mapping[str, list[Row]]) -> Callable[[Row], Mapping[str, Sequence[Row]]]:
    """The rows of one customer, whichever of the three records asks."""

    def find(row: Row) -> dict[str, Sequence[Row]]:
        key = plain(row["id" if name == "customer" else "customer_ref"])
        customers = [one for one in tables["customer"] if plain(one["id"]) == key]
        known = {plain(one["id"]) for one in customers}
        found: dict[str, Sequence[Row]] = {"customer": customers}
        for child in ("contract", "letter"):
            found[child] = [one for one in tables[child] if plain(one["customer_ref"]) in known]
        del found[name]
        return found

    return find


def check(world: World, told: Mapping[str, object], rules: Sequence[tuple[str, object]]) -> None:
    """The dry run agrees with the evaluator; the run with the dry run, and a second run finds nothing."""
    with world.sources(chunk_rows=5) as sources, Session(sources, apply=False) as session:
        for record, keep in rules:
            whole = document(dict(told), [{"record": record, "keep": keep, "then": "delete"}])
            policy, jobs = world.compile(whole, sources)
            relations = world.relations(policy)
            types = types_of(policy, relations)
            tables = {name: read_rows(session, relation) for name, relation in relations.items()}
            for job in jobs:
                judged = judge(policy, policy.rules[0], job, tables[record], related(record, tables), AT, types)
                try:
                    compare(world, job, sources, AT, judged)
                except AssertionError as wrong:
                    raise AssertionError(f"{record}, {keep}: {wrong}") from wrong


def run_all(world: World, told: Mapping[str, object], rules: Sequence[tuple[str, object]]) -> int:
    """Each rule's run does what its dry run says; how many rows went."""
    done = 0
    for record, keep in rules:
        with world.sources(chunk_rows=3) as sources:
            whole = document(dict(told), [{"record": record, "keep": keep, "then": "delete"}])
            _, jobs = world.compile(whole, sources)
            for job in jobs:
                (said,) = world.plan([job], sources, AT)
                (did,) = world.run([job], sources, AT)
                assert (counts(did), did.done) == (counts(said), said.due)
                (again,) = world.run([job], sources, AT)
                assert (again.due, again.done) == (0, 0)
                done += did.done
    return done


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize(("near", "far"), PAIRS)
def test_two_engines(new_database: Callable[[str], str], tmp_path: Path, near: str, far: str, kind: str) -> None:
    world = World(tmp_path, {"crm": new_database(near), "erp": new_database(far)})
    make(world, "crm", near, kind, "customer", "letter")
    make(world, "erp", far, kind, "contract")
    random = Random(5)
    ids = keys(kind, random)
    refs = [None, *ids, *ids[:5], *(STRANGERS if kind == "text" else ())]
    contents: dict[str, list[Row]] = {"customer": rows("customer", near, ids, (), 1)}
    contents["letter"] = rows("letter", near, range(30), refs, 2)
    contents["contract"] = rows("contract", far, range(45), refs, 3)
    world.fill("crm", {TABLES[name]: contents[name] for name in ("customer", "letter")})
    world.fill("erp", {"contracts": contents["contract"]})
    told = records({"customer": "crm", "letter": "crm", "contract": "erp"})
    check(world, told, KEEPS if kind == "int" else KEEPS[::3])
    assert run_all(world, told, KEEPS[7:] + KEEPS[1:2])


@pytest.fixture
def tenants(new_database: Callable[[str], str], tmp_path: Path) -> World:
    urls = {"tenant-a": new_database("sqlite"), "tenant-b": new_database("sqlite"), "crm": new_database("sqlite")}
    return World(tmp_path, urls)


def test_a_union_of_sources(tenants: World) -> None:
    """Customers in one database; their contracts in the databases of all tenants."""
    make(tenants, "crm", "sqlite", "int", "customer", "letter")
    ids = range(1, 21)
    both: list[Row] = []
    for number, source in enumerate(("tenant-a", "tenant-b")):
        make(tenants, source, "sqlite", "int", "contract")
        own = rows("contract", "sqlite", range(100 * number, 100 * number + 15), [None, *ids], 10 + number)
        tenants.fill(source, {"contracts": own})
        both += own
    crm = {name: rows(name, "sqlite", ids, ids, 20) for name in ("customer", "letter")}
    tenants.fill("crm", {TABLES[name]: found for name, found in crm.items()})
    told = records({"customer": "crm", "letter": "crm", "contract": "tenant-*"})
    with tenants.sources(chunk_rows=4) as sources, Session(sources, apply=False) as session:
        for record, keep in KEEPS:
            policy, jobs = tenants.compile(
                document(told, [{"record": record, "keep": keep, "then": "delete"}]), sources
            )
            assert [job.source for job in jobs] == (["tenant-a", "tenant-b"] if record == "contract" else ["crm"])
            first = tenants.relations(policy)
            types = types_of(policy, first)
            tables = {name: read_rows(session, first[name]) for name in ("customer", "letter")}
            tables["contract"] = [
                row
                for name in ("tenant-a", "tenant-b")
                for row in read_rows(session, tenants.relation(name, "contracts"))
            ]
            assert len(tables["contract"]) == len(both)
            for job in jobs:
                own = read_rows(session, job.step.relation) if record == "contract" else tables[record]
                judged = judge(policy, policy.rules[0], job, own, related(record, tables), AT, types)
                compare(tenants, job, sources, AT, judged)
    assert run_all(tenants, told, KEEPS[:2])


def test_pairs_of_sources(tenants: World) -> None:
    """Each tenant's customers belong with that tenant's contracts, though the other tenant has the same numbers."""
    tenants = World(tenants.folder, {name: url for name, url in tenants.urls.items() if name != "crm"})
    ids = range(1, 16)
    for number, source in enumerate(("tenant-a", "tenant-b")):
        make(tenants, source, "sqlite", "int", *TABLES)
        made = {
            name: rows(name, "sqlite", ids, [None, *ids], 30 + 5 * number + place) for place, name in enumerate(TABLES)
        }
        tenants.fill(source, {TABLES[name]: found for name, found in made.items()})
    told = records(dict.fromkeys(TABLES, "tenant-*"))
    with tenants.sources(chunk_rows=4) as sources, Session(sources, apply=False) as session:
        for record, keep in KEEPS:
            policy, jobs = tenants.compile(
                document(told, [{"record": record, "keep": keep, "then": "delete"}]), sources
            )
            assert [job.source for job in jobs] == ["tenant-a", "tenant-b"]
            for job in jobs:
                relations: dict[str, Any] = {name: tenants.relation(job.source, TABLES[name]) for name in TABLES}
                own = {name: read_rows(session, relation) for name, relation in relations.items()}
                types = types_of(policy, relations)
                judged = judge(policy, policy.rules[0], job, own[record], related(record, own), AT, types)
                compare(tenants, job, sources, AT, judged)
    assert run_all(tenants, told, KEEPS[:2])
