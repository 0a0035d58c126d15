"""What a dry run says is what the run does, job by job; doing it twice, or in other portions, changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from dateutil.relativedelta import relativedelta

from tests.database.random_worlds import Values
from tests.database.worlds import Row, World, counts, dialect, document

AT = datetime(2026, 1, 1, tzinfo=UTC)
ZONE = "Europe/Brussels"
CHUNKS = (1, 2, 7, 1000)

TYPES = {"sqlite": "DATETIME", "postgresql": "timestamp", "mariadb": "datetime(6) NULL"}
TABLES = {
    "customers": "id integer PRIMARY KEY, name varchar(40), hold boolean, boss_id integer, closed {when}",
    "contracts": "id integer PRIMARY KEY, customer_id integer REFERENCES customers (id), ended {when}",
    "invoices": "number varchar(10), line integer, contract_id integer REFERENCES contracts (id), issued {when}, "
    "PRIMARY KEY (number, line)",
    "remarks": "id integer PRIMARY KEY, customer_id integer REFERENCES customers (id), "
    "contract_id integer REFERENCES contracts (id), hold boolean",
    "visits": "id integer PRIMARY KEY, customer_id integer, person varchar(40), mail varchar(60), host varchar(60), "
    "age integer, seen {when}, marker {when}",
}


def records(**cascades: Sequence[str]) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {
        "customer": {"table": "customers", "held": "hold"},
        "contract": {"table": "contracts", "belongs_to": {"customer": "customer_id"}},
        "invoice": {"table": "invoices", "belongs_to": {"contract": "contract_id"}},
        "remark": {"table": "remarks", "belongs_to": {"customer": "customer_id"}, "held": "hold"},
        "visit": {"table": "visits", "belongs_to": {"customer": "customer_id"}},
    }
    for name, record in found.items():
        record |= {"source": "db", "timezone": ZONE}
        if name in cascades:
            record["cascade"] = list(cascades[name])
    return found


@dataclass(frozen=True)
class Plan:
    """A policy's records and rules."""

    records: Mapping[str, Mapping[str, object]]
    rules: Sequence[Mapping[str, object]]


WHOLE = {"customer": ["contract", "remark"], "contract": ["invoice", "remark"]}
MASKS = {"person": {"constant": "nobody"}, "mail": "random", "age": {"round": 10}}
PLANS = {
    "own column": Plan(
        records(),
        [{"record": "visit", "keep": "1 year after seen", "where": "person <> 'name 3' OR age > 40", "then": "delete"}],
    ),
    "cascade": Plan(
        records(**WHOLE), [{"record": "customer", "keep": "6 months after last contract.ended", "then": "delete"}]
    ),
    "cascade with floors": Plan(
        records(**WHOLE),
        [
            {"record": "customer", "keep": "1 month after closed", "then": "delete"},
            {"record": "invoice", "keep": "at least 1 year after issued", "then": "nothing"},
        ],
    ),
    "child first": Plan(
        records(contract=["invoice", "remark"]),
        [{"record": "contract", "keep": "until customer.closed", "then": "delete"}],
    ),
    "two rules in a row": Plan(
        records(**WHOLE),
        [
            {"record": "visit", "keep": "until seen", "then": {"clear": ["person", "mail"]}},
            {"record": "contract", "keep": "1 year after ended", "then": "delete"},
        ],
    ),
    "composite key": Plan(records(), [{"record": "invoice", "keep": "18 months after issued", "then": "delete"}]),
    "mask": Plan(
        records(),
        [
            {
                "record": "visit",
                "keep": "until last contract.ended",
                "then": {"pseudonymise": MASKS | {"host": "domain"}},
            }
        ],
    ),
    "mask with a marker": Plan(
        {**records(), "visit": {**records()["visit"], "marker": "marker"}},
        [{"record": "visit", "keep": "1 month after seen", "then": {"pseudonymise": {**MASKS, "host": "redact"}}}],
    ),
    "tokens": Plan(
        records(),
        [
            {
                "record": "visit",
                "keep": "1 month after seen",
                "then": {"pseudonymise": {"person": "token", "mail": {"token": "email"}, "host": {"prefix": 3}}},
            }
        ],
    ),
}


def make(url: str, folder: Path, rows: Mapping[str, Sequence[Row]]) -> World:
    world = World(folder, {"db": url})
    when = TYPES[dialect(url)]
    world.carry_out("db", *(f"CREATE TABLE {name} ({text.format(when=when)})" for name, text in TABLES.items()))
    world.fill("db", rows)
    return world


def rows(engine: str, seed: int) -> dict[str, list[Row]]:
    random = Random(seed)
    lengths = tuple(relativedelta(days=days) for days in (0, 31, 182, 365, 547))
    values = Values(seed, engine, ZONE, AT, lengths)

    def when() -> object:
        return values.one("n", 0.02, 0.1)

    customers = range(1, 21)
    contracts = range(1, 31)
    tables: dict[str, list[Row]] = {name: [] for name in TABLES}
    for number in customers:
        held = random.random() < 0.1
        tables["customers"].append(
            {"id": number, "name": f"name {number}", "hold": held, "boss_id": None, "closed": when()}
        )
    for number in contracts:
        tables["contracts"].append({"id": number, "customer_id": random.choice([None, *customers]), "ended": when()})
    for number in range(40):
        contract = random.choice([None, *contracts])
        key = {"number": f"N{number // 2:03}", "line": number % 2}
        tables["invoices"].append({**key, "contract_id": contract, "issued": when()})
        links = {"customer_id": random.choice([None, *customers]), "contract_id": contract}
        tables["remarks"].append({"id": number, **links, "hold": random.random() < 0.05})
        texts = {"person": f"name {number}", "mail": f"m{number}@example.org", "host": f"host{number}@example.com"}
        visit = {"id": number, "customer_id": random.choice(customers), **texts, "age": random.randrange(100)}
        tables["visits"].append({**visit, "seen": when(), "marker": None})
    return tables


@pytest.mark.parametrize("name", PLANS)
def test_a_run_does_what_the_dry_run_says(engine_url: str, tmp_path: Path, name: str) -> None:
    plan, engine = PLANS[name], dialect(engine_url)
    world = make(engine_url, tmp_path, rows(engine, 7))
    told = document(plan.records, plan.rules)
    before = world.fingerprint()
    with world.sources(chunk_rows=7) as sources:
        _, jobs = world.compile(told, sources)
        world.plan(jobs, sources, AT)
        for job in jobs:
            world.due_keys(job, sources, AT)
    assert world.fingerprint() == before
    for number in range(len(plan.rules)):
        _job_by_job(world, told, number)
    after = world.contents()
    with world.sources(chunk_rows=7) as sources:
        _, jobs = world.compile(told, sources)
        for report in world.run(jobs, sources, AT):
            assert (report.due, report.done, sum(report.cascade.values())) == (0, 0, 0)
    assert world.contents() == after


def _job_by_job(world: World, told: Mapping[str, object], number: int) -> None:
    """The dry run of one rule, then its run: the same counts, and exactly the rows that it told of."""
    with world.sources(chunk_rows=7) as sources:
        _, jobs = world.compile(told, sources)
        chosen = [job for job in jobs if job.rule == f"rule-{number}"]
        sizes = {label: len(found) for label, found in world.contents().items()}
        for job in chosen:
            keys = world.due_keys(job, sources, AT)
            (said,) = world.plan([job], sources, AT)
            (did,) = world.run([job], sources, AT)
            assert counts(did) == counts(said)
            assert said.due
            assert said.done == 0
            assert did.done == did.due == len(keys)
            gone = dict(did.cascade)
            if job.action == "delete":
                gone[job.step.relation.label] = gone.get(job.step.relation.label, 0) + did.done
            left = {label: len(found) for label, found in world.contents().items()}
            assert {label: sizes[label] - left[label] for label in sizes if sizes[label] != left[label]} == {
                label: size for label, size in gone.items() if size
            }
            assert world.due_keys(job, sources, AT) == []


@pytest.mark.parametrize("name", [name for name in PLANS if name not in ("mask", "mask with a marker", "child first")])
def test_the_size_of_chunks_changes_nothing(engine_url: str, tmp_path: Path, name: str) -> None:
    plan, engine = PLANS[name], dialect(engine_url)
    content = rows(engine, 11)
    world = make(engine_url, tmp_path, content)
    outcomes = []
    for size in CHUNKS:
        world.fill("db", content)
        with world.sources(chunk_rows=size) as sources:
            _, jobs = world.compile(document(plan.records, plan.rules), sources)
            said = [counts(report) for report in world.plan(jobs, sources, AT)]
            did = [(counts(report), report.done) for report in world.run(jobs, sources, AT)]
        outcomes.append((said, did, world.contents()))
    for size, outcome in zip(CHUNKS[1:], outcomes[1:], strict=True):
        assert outcome == outcomes[0], f"chunks of {size}"


def test_random_masks_change_as_many_rows_in_any_chunks(engine_url: str, tmp_path: Path) -> None:
    """Random values differ from run to run; the rows that have them do not."""
    content = rows(dialect(engine_url), 11)
    world = make(engine_url, tmp_path, content)
    for name in ("mask", "mask with a marker"):
        outcomes = set()
        for size in CHUNKS:
            world.fill("db", content)
            with world.sources(chunk_rows=size) as sources:
                _, jobs = world.compile(document(PLANS[name].records, PLANS[name].rules), sources)
                (did,) = world.run(jobs, sources, AT)
            masked = sorted(row for row in world.contents()["db.visits"] if "'nobody'" in row)
            assert len(masked) == did.done
            outcomes.add(tuple(row.split(",")[0] for row in masked))
        assert len(outcomes) == 1
