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
            if rival.took_effect and (binding, point) != ("none", "looked"):
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


CHILD_POLICY = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers, cascade: [contract]}
  contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}, cascade: [document], held: held}
  document: {source: crm, table: documents, belongs_to: {contract: contract_id}}
rules:
  - {name: old, record: customer, clause: "1", keep: 10 years after closed_at, then: delete}
  - name: law
    record: contract
    clause: "2"
    keep: at least 10 years after last document.filed_on
    statute: {law: a law, checked: 2026-01-01}
    then: nothing
"""

KEEPING = {
    "held": "UPDATE contracts SET held = 1 WHERE id = 21",
    "new held child": "INSERT INTO contracts (id, customer_id, held) VALUES (99, 2, 1)",
    "floored": "UPDATE documents SET filed_on = '2025-01-01' WHERE id = 2100",
    "newly floored": "INSERT INTO documents (id, contract_id, filed_on) VALUES (2199, 21, '2025-01-01')",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("binding", BINDINGS)
def test_a_child_that_is_kept_meanwhile_keeps_its_parent(
    engine: str, binding: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points: tuple[Point, ...] = ("paged",) if engine == "sqlite" else ("locked", "gathered")
    plays = [(name, point) for name in KEEPING for point in points]
    reference = BINDINGS[binding]
    with Stage(tmp_path, {"crm": new_database(engine)}, CHILD_POLICY) as stage:
        stage.administer(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, closed_at TIMESTAMP NULL)",
            f"""CREATE TABLE contracts (id INTEGER PRIMARY KEY,
                customer_id INTEGER NOT NULL{reference.format("customers")}, held SMALLINT NOT NULL)""",
            f"""CREATE TABLE documents (id INTEGER PRIMARY KEY,
                contract_id INTEGER NOT NULL{reference.format("contracts")}, filed_on DATE)""",
            "CREATE INDEX by_customer ON contracts (customer_id)",
            "CREATE INDEX by_contract ON documents (contract_id)",
        )
        owned = [(10 * number + index, number) for number in range(1, 6) for index in (1, 2)]
        early = 0
        for changed, point in plays:
            stage.administer(
                *(f"DELETE FROM {table}" for table in ("documents", "contracts", "customers")),
                *inserts("customers", [{"id": number, "closed_at": LONG_AGO} for number in range(1, 6)]),
                *inserts("contracts", [{"id": key, "customer_id": number, "held": 0} for key, number in owned]),
                *inserts(
                    "documents", [{"id": 100 * key, "contract_id": key, "filed_on": "2010-01-01"} for key, _ in owned]
                ),
            )
            rival = Rival(stage.urls["crm"], KEEPING[changed])
            (report,) = played(stage, monkeypatch, point, rival)
            early += rival.took_effect
            found = (stage.ids("customers"), stage.ids("contracts") - {99}, stage.ids("documents") - {2199})
            if rival.took_effect:
                assert found == ({2}, {21, 22}, {2100, 2200}), (changed, point)
                kept = (0, 1) if changed in ("floored", "newly floored") else (1, 0)
                assert (report.done, report.held, report.floored) == (4, *kept), (changed, point)
            else:
                assert found == (set(), set(), set()), (changed, point)
                assert rival.refused or rival.changed == [0], (changed, point)
                assert report.done == 5
        assert early >= len(KEEPING) - 1


FAR_POLICY = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers}
  contract: {source: billing, table: contracts, belongs_to: {customer: customer_id}}
  invoice: {source: billing, table: invoices, belongs_to: {customer: customer_id}}
  billed: {source: crm, table: customers}
rules:
  - {name: old, record: customer, clause: "1", keep: 10 years after last contract.ended_at, then: THEN}
  - name: law
    record: customer
    clause: "2"
    keep: at least 7 years after last invoice.issued_on
    statute: {law: a law, checked: 2026-01-01}
    then: nothing
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("other", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
@pytest.mark.parametrize("masking", [False, True], ids=["delete", "mask"])
def test_a_clock_or_floor_in_another_source_is_asked_once_more(
    engine: str,
    other: str,
    masking: bool,
    new_database: NewDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    then = "{pseudonymise: {name: {constant: gone}}}" if masking else "delete"
    urls = {"crm": new_database(engine), "billing": new_database(other)}
    changes = {
        "re-opened": "UPDATE contracts SET ended_at = NULL WHERE id = 2",
        "new contract": "INSERT INTO contracts (id, customer_id, ended_at) VALUES (9, 2, NULL)",
        "floored": "UPDATE invoices SET issued_on = '2025-01-01' WHERE id = 2",
    }
    points: tuple[Point, ...] = ("paged", "examined", "changed", "looked")
    plays = [("re-opened", point) for point in points]
    plays += [(name, point) for name in ("new contract", "floored") for point in points[2:3]]
    numbers = range(1, 6)
    with Stage(tmp_path, urls, FAR_POLICY.replace("THEN", then)) as stage:
        stage.administer("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80))")
        stage.administer(
            "CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, ended_at TIMESTAMP NULL)",
            "CREATE TABLE invoices (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, issued_on DATE)",
            source="billing",
        )
        for changed, point in plays:
            stage.administer(
                "DELETE FROM customers", *inserts("customers", [{"id": n, "name": f"c{n}"} for n in numbers])
            )
            stage.administer(
                "DELETE FROM contracts",
                "DELETE FROM invoices",
                *inserts("contracts", [{"id": n, "customer_id": n, "ended_at": LONG_AGO} for n in numbers]),
                *inserts("invoices", [{"id": n, "customer_id": n, "issued_on": "2012-01-01"} for n in numbers]),
                source="billing",
            )
            rival = Rival(urls["billing"], changes[changed])
            (report,) = played(stage, monkeypatch, point, rival)
            assert rival.came_first, (changed, point)
            # After the last look nothing across databases can be seen: the gap of milliseconds that is documented.
            left = set() if point == "looked" else {2}
            assert stage.ids("customers WHERE name <> 'gone'") == left, (changed, point)
            assert report.done == 5 - len(left), (changed, point)


UP_AND_DOWN = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers}
  contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}}
  message: {source: crm, table: messages, belongs_to: {customer: customer_id}}
rules:
  - name: old
    record: message
    clause: "1"
    keep:
      whichever comes last: [10 years after last contract.ended_at, 10 years after sent_at]
    then: delete
"""


@pytest.mark.parametrize("engine", ENGINES[1:])
@pytest.mark.parametrize("contract", [True, False], ids=["another", "the first"])
def test_no_contract_can_come_where_a_foreign_key_goes_up_and_down(
    engine: str, contract: bool, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stage(tmp_path, {"crm": new_database(engine)}, UP_AND_DOWN) as stage:
        stage.administer(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY)",
            """CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
                 ended_at TIMESTAMP NULL)""",
            """CREATE TABLE messages (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
                 sent_at TIMESTAMP NULL)""",
            "INSERT INTO customers VALUES (1), (2)",
        )
        points: tuple[Point, ...] = ("paged", "locked", "examined", "changed", "looked")
        for point in points:
            stage.administer(
                "DELETE FROM messages",
                "DELETE FROM contracts",
                f"INSERT INTO messages VALUES (1, 1, '{LONG_AGO}'), (2, 2, '{LONG_AGO}')",
                *([f"INSERT INTO contracts VALUES (1, 1, '{LONG_AGO}'), (2, 2, '{LONG_AGO}')"] if contract else []),
            )
            rival = Rival(stage.urls["crm"], "INSERT INTO contracts VALUES (9, 2, NULL)")
            (report,) = played(stage, monkeypatch, point, rival)
            assert rival.came_first == (point == "paged"), point
            assert stage.ids("messages") == ({2} if point == "paged" else set()), point
            assert report.done == (1 if point == "paged" else 2)


@pytest.mark.mariadb
@pytest.mark.parametrize("rule", ["", " ON DELETE CASCADE"])
def test_a_foreign_key_to_another_unique_column_shuts_nobody_out_on_mariadb(
    rule: str, mariadb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # InnoDB's check of the key locks the entry in the index of `number`; our lock is on the row. Hence the second look.
    policy = CONTRACT_POLICY.replace("customer: customer_id", "customer: {number: customer_id}")
    points: tuple[Point, ...] = ("paged", "locked", "examined", "gathered")
    with Stage(tmp_path, {"crm": mariadb_url}, policy) as stage:
        tables = contract_tables("foreign keys")
        tables[0] = "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80), number INTEGER NOT NULL UNIQUE)"
        tables[1] = tables[1].replace("customers (id)", f"customers (number){rule}")
        stage.administer(*tables)
        for point in points:
            statements = contracts()
            statements[3] = "INSERT INTO customers VALUES " + ", ".join(
                f"({number + 500}, 'c', {number})" for number in (1, 2, 3, 4, 5, 9)
            )
            stage.administer(*statements)
            rival = Rival(stage.urls["crm"], REOPENINGS["new contract"])
            (report,) = played(stage, monkeypatch, point, rival)
            if rival.took_effect:
                assert (stage.ids("customers", column="number"), report.done) == ({2, 9}, 4), point
                assert stage.ids("contracts") == {21, 22, 91, 99}
            else:
                assert rival.refused
                assert (stage.ids("customers", column="number"), report.done) == ({9}, 5), point
