"""What another session does between two of our steps: nothing goes that should be kept (promise 1, A01)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.database.stage import LATELY, LONG_AGO, POINTS, Point, Rival, Stage, inserts, played

ENGINES = [
    pytest.param("sqlite"),
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]
NewDatabase = Callable[[str], str]

OWN_POLICY = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers, held: held}
  kept: {source: crm, table: customers}
rules:
  - name: old
    record: customer
    clause: "1"
    keep: 10 years after closed_at
    where: status = 'closed'
    then: delete
  - name: law
    record: kept
    clause: "2"
    keep: at least 10 years after billed_on
    where: billed_on is not null
    statute: {law: a law, checked: 2026-01-01}
    then: nothing
"""
OWN_MASKS = OWN_POLICY.replace("then: delete", "then: {pseudonymise: {name: {constant: gone}}}")
CUSTOMERS = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80), status VARCHAR(20), closed_at TIMESTAMP NULL,
  billed_on DATE, held SMALLINT NOT NULL)
"""

OWN_CHANGES = {
    "own clock": f"UPDATE customers SET closed_at = '{LATELY}' WHERE id = 2",
    "stopped clock": "UPDATE customers SET closed_at = NULL WHERE id = 2",
    "where": "UPDATE customers SET status = 'open' WHERE id = 2",
    "held": "UPDATE customers SET held = 1 WHERE id = 2",
    "floor": "UPDATE customers SET billed_on = '2025-01-01' WHERE id = 2",
}


def customers(count: int) -> list[str]:
    rows = [
        {"id": number, "name": f"c{number}", "status": "closed", "closed_at": LONG_AGO, "billed_on": None, "held": 0}
        for number in range(1, count + 1)
    ]
    return ["DELETE FROM customers", *inserts("customers", rows)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("masking", [False, True], ids=["delete", "mask"])
def test_a_row_that_is_touched_meanwhile_stays(
    engine: str, masking: bool, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after: tuple[Point, ...] = ("paged", "examined")
    others: tuple[Point, ...] = ("locked", "gathered", "changed", "looked")
    plays = [(name, point) for name in OWN_CHANGES for point in after] + [("own clock", point) for point in others]
    early: list[Point] = []
    with Stage(tmp_path, {"crm": new_database(engine)}, OWN_MASKS if masking else OWN_POLICY) as stage:
        stage.administer(CUSTOMERS)
        for changed, point in plays:
            stage.administer(*customers(5))
            rival = Rival(stage.urls["crm"], OWN_CHANGES[changed])
            (report,) = played(stage, monkeypatch, point, rival)
            untouched = stage.ids("customers WHERE name <> 'gone'")
            assert untouched == ({2} if rival.came_first else set()), (changed, point)
            assert report.done == report.due == (4 if rival.came_first else 5), (changed, point)
            if rival.waited:  # it came after us: a deleted row is gone, a masked one was masked while it was due
                assert rival.changed == [1 if masking else 0]
            early += [point] if rival.came_first else []
    assert early.count("paged") == 5
    # A rule on own columns locks nothing beforehand; its DELETE asks again. SQLite's file is ours from the lock on.
    assert early.count("examined") == (5 if engine != "sqlite" and not masking else 0)


CONTRACT_POLICY = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers, cascade: [contract]}
  contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}, cascade: [document]}
  document: {source: crm, table: documents, belongs_to: {contract: contract_id}}
rules:
  - {name: old, record: customer, clause: "1", keep: 10 years after last contract.ended_at, then: delete}
"""

BINDINGS = {"foreign keys": " REFERENCES {0} (id)", "cascading": " REFERENCES {0} (id) ON DELETE CASCADE", "none": ""}
REOPENINGS = {
    "re-opened": "UPDATE contracts SET ended_at = NULL WHERE id = 21",
    "prolonged": f"UPDATE contracts SET ended_at = '{LATELY}' WHERE id = 21",
    "new contract": "INSERT INTO contracts (id, customer_id, ended_at) VALUES (99, 2, NULL)",
    "moved contract": "UPDATE contracts SET customer_id = 2 WHERE id = 91",
}


def contract_tables(binding: str) -> list[str]:
    reference = BINDINGS[binding]
    return [
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80))",
        (
            "CREATE TABLE contracts (id INTEGER PRIMARY KEY,"
            f" customer_id INTEGER NOT NULL{reference.format('customers')}, ended_at TIMESTAMP NULL)"
        ),
        (
            "CREATE TABLE documents (id INTEGER PRIMARY KEY,"
            f" contract_id INTEGER NOT NULL{reference.format('contracts')}, body VARCHAR(80))"
        ),
        "CREATE INDEX by_customer ON contracts (customer_id)",
        "CREATE INDEX by_contract ON documents (contract_id)",
    ]


def contracts() -> list[str]:
    """Customers 1 to 5, each with two contracts long ended (21, 22 …); customer 9 has one that runs."""
    numbers = [1, 2, 3, 4, 5]
    owned = [(10 * number + index, number) for number in numbers for index in (1, 2)]
    return [
        *(f"DELETE FROM {table}" for table in ("documents", "contracts", "customers")),
        *inserts("customers", [{"id": number, "name": f"c{number}"} for number in [*numbers, 9]]),
        *inserts(
            "contracts",
            [
                *({"id": key, "customer_id": number, "ended_at": LONG_AGO} for key, number in owned),
                {"id": 91, "customer_id": 9, "ended_at": None},
            ],
        ),
        *inserts("documents", [{"id": 100 * key, "contract_id": key, "body": "b"} for key, _ in owned]),
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("binding", BINDINGS)
def test_a_customer_whose_contract_lives_again_stays_with_all_its_rows(
    engine: str, binding: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite is one writer's from the lock on: one later point stands for all.
    points: tuple[Point, ...] = ("paged", "examined", "looked") if engine == "sqlite" else POINTS
    plays = [(name, point) for name in ("re-opened", "new contract") for point in points]
    plays += [(name, point) for name in ("prolonged", "moved contract") for point in points[:2]]
    with Stage(tmp_path, {"crm": new_database(engine)}, CONTRACT_POLICY) as stage:
        stage.administer(*contract_tables(binding))
        for changed, point in plays:
            stage.administer(*contracts())
            rival = Rival(stage.urls["crm"], REOPENINGS[changed])
            (report,) = played(stage, monkeypatch, point, rival)
            found = (stage.ids("customers"), stage.ids("contracts"), stage.ids("documents"))
            added = {99} if changed == "new contract" else set()
            play = (changed, point)
            if rival.came_first and (binding, point) != ("none", "looked"):
                assert found == ({2, 9}, {21, 22, 91} | added, {2100, 2200}), play
                assert report.done == report.due == 4, play
                assert report.cascade == {"crm.contracts": 8, "crm.documents": 8}, play
                continue
            # It came too late. A row that was there was locked; a new one had nothing to refer to any more.
            assert point != "paged", play
            assert report.done == report.due == 5, play
            if binding == "none" and point == "looked" and rival.came_first:
                # The documented gap: no foreign key, and between the last look and the commit. `validate` warns.
                assert changed == "new contract", play
                assert found == ({9}, {91, 99}, set()), play
                continue
            assert found == ({9}, {91}, set()), play
            if changed in ("re-opened", "prolonged"):
                assert rival.refused if engine == "sqlite" else rival.changed == [0], play
            else:
                assert rival.refused, play
