"""What a restored back-up brings back is found by the ledger's tokens: all of it, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from retentiond.compiler.plan import Job
from retentiond.engine import recognition
from retentiond.engine.replay import CameBack, what_came_back
from retentiond.engine.session import Session
from retentiond.errors import EvidenceError, RefusedError
from tests.database.stage import LATELY, LONG_AGO, Stage

POLICY = """
version: 1
name: shop
title: Shop
controllers: [Shop]
timezone: UTC
promises: {"1": a year}
records:
  customer: {source: crm, table: customers, cascade: [order]}
  order: {source: crm, table: orders, belongs_to: {customer: customer_id}}
  visit: {source: crm, table: visits, key: [day, host]}
  person: {source: crm, table: people}
rules:
  - {name: customers, clause: "1", record: customer, keep: 1 year after closed_at, then: delete}
  - {name: visits, clause: "1", record: visit, keep: 1 year after seen_at, then: delete}
  - {name: people, clause: "1", record: person, keep: 1 year after seen_at, then: {pseudonymise: {name: token}}}
"""
TIMES = {"postgresql": "timestamp", "mariadb": "datetime NULL", "sqlite": "datetime"}
KEYS = {"postgresql": "uuid", "mariadb": "uuid", "sqlite": "text"}
PEOPLE = [str(uuid.UUID(int=number + 2**100)) for number in range(8)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql),
                        pytest.param("mariadb", marks=pytest.mark.mariadb)])  # fmt: skip
def stage(request: pytest.FixtureRequest, new_database: Callable[[str], str], tmp_path: Path) -> Iterator[Stage]:
    engine: str = request.param
    when, key = TIMES[engine], KEYS[engine]
    with Stage(tmp_path, {"crm": new_database(engine)}, POLICY, chunk_rows=3) as made:
        made.administer(
            f"CREATE TABLE customers (id bigint PRIMARY KEY, closed_at {when})",
            "CREATE TABLE orders (id integer PRIMARY KEY, customer_id bigint REFERENCES customers (id))",
            f"CREATE TABLE visits (day date, host varchar(20), seen_at {when}, PRIMARY KEY (day, host))",
            f"CREATE TABLE people (id {key} PRIMARY KEY, name varchar(60), seen_at {when})",
        )
        fill(made)
        yield made


def fill(stage: Stage) -> None:
    """Of each table half is due."""
    for number in range(1, 9):
        when = LONG_AGO if number % 2 else LATELY
        stage.administer(
            f"INSERT INTO customers VALUES ({number * 2**40 - 2**41}, '{when}')",
            f"INSERT INTO orders VALUES ({number * 10}, {number * 2**40 - 2**41})",
            f"INSERT INTO visits VALUES ('2020-01-0{number}', 'é{number}', '{when}')",
            f"INSERT INTO people VALUES ('{PEOPLE[number - 1]}', 'name {number}', '{when}')",
        )


def empty(stage: Stage) -> None:
    stage.administer("DELETE FROM orders", "DELETE FROM customers", "DELETE FROM visits", "DELETE FROM people")


def job_of(stage: Stage, rule: str) -> Job:
    return next(job for job in stage.jobs if job.rule == rule)


def looked(stage: Stage, rule: str, above: int = 0) -> CameBack:
    with Session(stage.sources, apply=False) as session:
        return what_came_back(job_of(stage, rule), "crm", stage.store, stage.custody.keys, session, above)


def run(stage: Stage) -> None:
    for report in stage.run():
        assert report.failed is None, report
        assert report.done == 4, report


def keys_of(found: CameBack, table: str) -> set[tuple[Any, ...]]:
    keys = found.keys.get(f"crm.{table}", ())
    assert len(set(keys)) == len(keys)
    return set(keys)


def test_before_a_restore_nothing_came_back(stage: Stage) -> None:
    run(stage)
    for rule in ("customers", "visits", "people"):
        found = looked(stage, rule)
        assert (found.counts, found.whole, found.batches) == ({}, True, 2)
        assert all(table.asked == 4 for table in found.tables.values())


def test_all_that_came_back_is_found_and_nothing_else(stage: Stage) -> None:
    run(stage)
    empty(stage)
    fill(stage)
    assert keys_of(looked(stage, "customers"), "customers") == {(n * 2**40 - 2**41,) for n in (1, 3, 5, 7)}
    assert keys_of(looked(stage, "customers"), "orders") == {(n * 10,) for n in (1, 3, 5, 7)}
    assert {str(key[1]) for key in keys_of(looked(stage, "visits"), "visits")} == {f"é{n}" for n in (1, 3, 5, 7)}
    assert {str(key[0]) for key in keys_of(looked(stage, "people"), "people")} == {PEOPLE[n] for n in (0, 2, 4, 6)}


def test_what_was_destroyed_before_the_back_up_is_not_asked_for(stage: Stage) -> None:
    run(stage)
    empty(stage)
    fill(stage)
    first = looked(stage, "customers", above=1)
    assert (first.batches, first.counts) == (1, {"crm.customers": 1, "crm.orders": 1})
    assert (looked(stage, "customers", above=2).batches, looked(stage, "customers", above=2).tables) == (0, {})


def test_a_mask_that_is_there_still_did_not_come_back(stage: Stage) -> None:
    run(stage)
    stage.administer(f"UPDATE people SET name = 'name 3' WHERE id = '{PEOPLE[2]}'")
    assert {str(key[0]) for key in keys_of(looked(stage, "people"), "people")} == {PEOPLE[2]}


def test_the_pages_of_a_run_over_them_are_the_own_keys(stage: Stage) -> None:
    run(stage)
    empty(stage)
    fill(stage)
    found = looked(stage, "customers")
    pages = list(found.pages(3))
    assert [len(page) for page in pages] == [3, 1]
    assert {key for page in pages for key in page} == keys_of(found, "customers")


def test_however_few_tokens_are_held_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    run(stage)
    empty(stage)
    fill(stage)
    whole = {rule: looked(stage, rule).keys for rule in ("customers", "visits", "people")}
    monkeypatch.setattr(recognition, "_MOST_TOKENS", 2)
    monkeypatch.setattr(recognition, "_PAGE", 3)
    for rule, keys in whole.items():
        again = looked(stage, rule)
        assert {table: set(found) for table, found in again.keys.items()} == {t: set(k) for t, k in keys.items()}
        assert [found.asked for found in again.tables.values()] == [4] * len(again.tables)


def test_where_tokens_were_dropped_it_says_so(stage: Stage) -> None:
    run(stage)
    empty(stage)
    fill(stage)
    first = next(entry for entry in stage.store.ledger.entries() if entry["kind"] == "intent")
    with change_state(stage) as connection:
        connection.exec_driver_sql("DELETE FROM token_lists WHERE batch = ?", (first["batch"],))
    found = looked(stage, "customers")
    assert (found.dropped, found.whole, found.batches) == (1, False, 2)
    assert sum(found.counts.values()) == 2


def test_tokens_that_somebody_changed_are_no_evidence(stage: Stage) -> None:
    run(stage)
    with change_state(stage) as connection:
        connection.exec_driver_sql("UPDATE token_lists SET tokens = zeroblob(16) WHERE \"table\" LIKE '%customers'")
    with pytest.raises(EvidenceError) as error:
        looked(stage, "customers")
    assert error.value.code == "tokens-changed"


def test_without_the_key_nothing_can_be_told(stage: Stage) -> None:
    run(stage)
    for file in (stage.folder / "keys").glob("tokens-*.key"):
        file.unlink()
    with pytest.raises(RefusedError) as error:
        looked(stage, "customers")
    assert error.value.code == "missing-key"


def change_state(stage: Stage) -> Any:
    return sa.create_engine(f"sqlite:///{stage.state_file}", poolclass=sa.NullPool).begin()
