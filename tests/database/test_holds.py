"""Legal holds on real databases: no row of a held subject goes, whatever way it belongs; everything else does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database.bench import policy_text
from tests.database.holding import Holding

SHOP = """\
customer: {source: crm, table: customers, subject: id, on_request: {stay: x}, cascade: [addresses, contract]}
contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}, cascade: [papers]}
invoice: {source: crm, table: invoices, belongs_to: {contract: contract_id}}
event: {source: crm, table: events}
"""
LONG_AGO = "'2020-01-01'"


def due(name: str) -> str:
    return f"record: {name}, keep: 1 year after left_on, then: delete"


def subject(name: str, column: str = "id", table: str = "", source: str = "crm", more: str = "") -> str:
    return f"{name}: {{source: {source}, table: {table or name}, subject: {column}, on_request: {{stay: x}}{more}}}"


@pytest.fixture
def bench(engine_url: str, tmp_path: Path) -> Iterator[Holding]:
    with Holding(tmp_path, {"crm": engine_url}, chunk_rows=3) as found:
        yield found


def shop(bench: Holding, customers: int = 5) -> None:
    """Customers 1, 2 … each with a contract, a paper, an invoice, an address and an event of ten times its number."""
    numbers = range(1, customers + 1)

    def rows(said: str) -> str:
        return ", ".join(said.format(n=n, t=n * 10, d=LONG_AGO) for n in numbers)

    bench.make(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer_id INTEGER, left_on DATE,"
        " FOREIGN KEY (customer_id) REFERENCES customers (id))",
        "CREATE TABLE papers (id INTEGER PRIMARY KEY, contract_id INTEGER, left_on DATE,"
        " FOREIGN KEY (contract_id) REFERENCES contracts (id))",
        "CREATE TABLE addresses (id INTEGER PRIMARY KEY, customer_id INTEGER,"
        " FOREIGN KEY (customer_id) REFERENCES customers (id))",
        "CREATE TABLE invoices (id INTEGER PRIMARY KEY, contract_id INTEGER, left_on DATE)",
        "CREATE TABLE events (id INTEGER PRIMARY KEY, left_on DATE)",
        f"INSERT INTO customers VALUES {rows('({n}, {d})')}",
        f"INSERT INTO contracts VALUES {rows('({t}, {n}, {d})')}",
        f"INSERT INTO papers VALUES {rows('({t}, {t}, {d})')}",
        f"INSERT INTO addresses VALUES {rows('({t}, {n})')}",
        f"INSERT INTO invoices VALUES {rows('({t}, {t}, {d})')}",
        f"INSERT INTO events VALUES {rows('({t}, {d})')}",
    )


def test_a_held_subject_keeps_all_its_rows(bench: Holding) -> None:
    shop(bench)
    bench.hold("2", "0004")
    assert bench.went(policy_text(SHOP, due("invoice"))) == {"crm.invoices": {10, 30, 50}}
    assert bench.went(policy_text(SHOP, due("contract"))) == {
        "crm.contracts": {10, 30, 50},
        "crm.papers": {10, 30, 50},
    }
    assert bench.went(policy_text(SHOP, due("customer"))) == {
        "crm.customers": {1, 3, 5},
        "crm.addresses": {10, 30, 50},
    }
    assert bench.went(policy_text(SHOP, due("event"))) == {"crm.events": {10, 20, 30, 40, 50}}


def test_a_released_hold_frees_its_rows_and_no_others(bench: Holding) -> None:
    shop(bench)
    first, second = bench.hold(2, 4), bench.hold(4, 5)
    assert bench.went(policy_text(SHOP, due("invoice"))) == {"crm.invoices": {10, 30}}
    bench.release(second)
    assert bench.went(policy_text(SHOP, due("invoice"))) == {"crm.invoices": {50}}
    bench.release(first)
    assert bench.went(policy_text(SHOP, due("invoice"))) == {"crm.invoices": {20, 40}}


def test_rows_that_belong_to_nobody_are_not_held(bench: Holding) -> None:
    """A NULL in the column that names the subject is no held subject, and must not keep others from going either."""
    shop(bench)
    bench.make(
        f"INSERT INTO contracts VALUES (60, NULL, {LONG_AGO})",
        f"INSERT INTO invoices VALUES (60, 60, {LONG_AGO}), (70, NULL, {LONG_AGO}), (80, 999, {LONG_AGO})",
    )
    bench.hold(2)
    assert bench.went(policy_text(SHOP, due("invoice"))) == {"crm.invoices": {10, 30, 40, 50, 60, 70, 80}}
    assert bench.went(policy_text(SHOP, due("contract")))["crm.contracts"] == {10, 30, 40, 50, 60}


def test_a_hold_on_a_record_on_rows_of_it_and_on_a_source(bench: Holding) -> None:
    shop(bench)
    rows = bench.hold_rows("contract", 10, 20)
    assert bench.went(policy_text(SHOP, due("contract")))["crm.contracts"] == {30, 40, 50}
    whole = bench.hold_rows("invoice")
    assert bench.went(policy_text(SHOP, due("invoice"))) == {}
    # A held row keeps the one that it would go with.
    assert bench.went(policy_text(SHOP, due("customer")))["crm.customers"] == {3, 4, 5}
    source = bench.hold_source("crm")
    bench.release(rows)
    bench.release(whole)
    assert bench.went(policy_text(SHOP, due("event"), due("invoice"))) == {}
    bench.release(source)
    assert set(bench.went(policy_text(SHOP, due("event"), due("invoice")))) == {"crm.events", "crm.invoices"}


def test_a_hold_on_a_source_that_no_policy_speaks_of(sqlite_url: str, tmp_path: Path) -> None:
    with Holding(tmp_path, {"crm": sqlite_url, "archive": f"sqlite:///{tmp_path}/archive.db"}) as bench:
        shop(bench)
        bench.make("CREATE TABLE things (id INTEGER PRIMARY KEY)", source="archive")
        bench.hold_source("archive")
        assert bench.went(policy_text(SHOP, due("event"))) == {"crm.events": {10, 20, 30, 40, 50}}


def test_partitions_are_held_with_their_table(postgresql_url: str, tmp_path: Path) -> None:
    """A policy may speak of a table and of one of its partitions: the rows are the same."""
    with Holding(tmp_path, {"crm": postgresql_url}) as bench:
        bench.make(
            "CREATE SCHEMA shop",
            "CREATE TABLE shop.visits (id integer, person integer, left_on date, PRIMARY KEY (id, left_on))"
            " PARTITION BY RANGE (left_on)",
            "CREATE TABLE shop.visits_2020 PARTITION OF shop.visits FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
            "CREATE TABLE shop.visits_2021 PARTITION OF shop.visits FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
            f"INSERT INTO shop.visits VALUES (1, 1, {LONG_AGO}), (2, 2, {LONG_AGO}), (3, 1, '2021-01-01')",
        )
        whole = subject("visit", column="{person: person}", table="shop.visits")
        part = "old: {source: crm, table: shop.visits_2020}"
        bench.hold(1, subject="person")
        assert bench.went(policy_text(f"{whole}\n{part}", due("old")))["crm.shop.visits_2020"] == {2}
        assert [row[0] for row in bench.rows("SELECT id FROM shop.visits ORDER BY id")] == [1, 3]
        assert bench.went(policy_text(whole, due("visit"))) == {}


def test_a_plain_table_of_a_cascade_is_held_by_its_foreign_key(bench: Holding) -> None:
    """An address of a held customer goes neither with the customer nor with a shop that it belongs to as well."""
    bench.make(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE shops (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE addresses (id INTEGER PRIMARY KEY, customer_id INTEGER, shop_id INTEGER,"
        " FOREIGN KEY (customer_id) REFERENCES customers (id), FOREIGN KEY (shop_id) REFERENCES shops (id))",
        f"INSERT INTO customers VALUES (1, {LONG_AGO}), (2, {LONG_AGO})",
        f"INSERT INTO shops VALUES (1, {LONG_AGO}), (2, {LONG_AGO}), (3, {LONG_AGO})",
        "INSERT INTO addresses VALUES (11, 1, 1), (12, 2, 2), (13, NULL, 3)",
    )
    bench.hold(1)
    records = f"{subject('customer', table='customers', more=', cascade: [addresses]')}\n"
    records += "shop: {source: crm, table: shops, cascade: [addresses]}"
    assert bench.went(policy_text(records, due("shop"))) == {"crm.shops": {2, 3}, "crm.addresses": {12, 13}}


def test_two_ways_to_a_subject_are_two_reasons(bench: Holding) -> None:
    bench.make(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE letters (id INTEGER PRIMARY KEY, sender INTEGER, receiver INTEGER, left_on DATE)",
        "CREATE TABLE scans (id INTEGER PRIMARY KEY, letter INTEGER, left_on DATE)",
        f"INSERT INTO people VALUES (1, {LONG_AGO}), (2, {LONG_AGO}), (3, {LONG_AGO})",
        f"INSERT INTO letters VALUES (1, 1, 2, {LONG_AGO}), (2, 2, 3, {LONG_AGO}), (3, NULL, 1, {LONG_AGO}),"
        f" (4, 3, 2, {LONG_AGO})",
        f"INSERT INTO scans VALUES (1, 1, {LONG_AGO}), (2, 2, {LONG_AGO}), (3, 3, {LONG_AGO}), (4, 4, {LONG_AGO})",
    )
    bench.hold(1, subject="person")
    records = "\n".join(
        [
            subject("sender", table="people", column="{person: id}"),
            subject("receiver", table="people", column="{person: id}"),
            "letter: {source: crm, table: letters, belongs_to: {sender: sender, receiver: receiver}}",
            "scan: {source: crm, table: scans, belongs_to: {letter: letter}}",
        ]
    )
    assert bench.went(policy_text(records, due("scan"))) == {"crm.scans": {2, 4}}
    assert bench.went(policy_text(records, due("letter"))) == {"crm.letters": {2, 4}}


def test_a_tree_of_rows_is_held_down_to_its_leaves(bench: Holding) -> None:
    """Folders belong to folders in any number of steps, and round in a circle; files belong to folders."""
    bench.make(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE folders (id INTEGER PRIMARY KEY, parent INTEGER, owner INTEGER, left_on DATE)",
        "CREATE TABLE files (id INTEGER PRIMARY KEY, folder INTEGER, left_on DATE)",
        f"INSERT INTO people VALUES (1, {LONG_AGO}), (2, {LONG_AGO})",
        "INSERT INTO folders VALUES "
        + ", ".join(
            f"({n}, {parent}, {owner}, {LONG_AGO})"
            for n, parent, owner in [
                *((1, "NULL", 1), (2, 1, "NULL"), (3, 2, "NULL"), (4, 3, 2), (5, 4, "NULL")),
                *((6, "NULL", 2), (7, 6, "NULL"), (8, 9, "NULL"), (9, 8, "NULL"), (10, 11, 1), (11, 10, "NULL")),
            ]
        ),
        "INSERT INTO files VALUES " + ", ".join(f"({n}, {n}, {LONG_AGO})" for n in range(1, 13)),
    )
    bench.hold(1, subject="person")
    records = "\n".join(
        [
            subject("person", table="people"),
            "folder: {source: crm, table: folders, belongs_to: {person: owner, folder: parent}}",
            "file: {source: crm, table: files, belongs_to: {folder: folder}}",
        ]
    )
    assert bench.went(policy_text(records, due("file"))) == {"crm.files": {6, 7, 8, 9, 12}}
    assert bench.went(policy_text(records, due("folder"))) == {"crm.folders": {6, 7, 8, 9}}


def test_texts_are_held_as_their_column_compares_them(bench: Holding) -> None:
    """Where two spellings are one customer to the database, a hold on one of them is a hold on both."""
    loose = {"sqlite": "NOCASE", "mariadb": "utf8mb4_general_ci"}.get(bench.engine())
    if loose is None:
        loose = "loose"
        bench.make("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    exact = {"sqlite": "BINARY", "mariadb": "utf8mb4_nopad_bin"}.get(bench.engine(), '"C"')
    bench.make(
        f"CREATE TABLE customers (id VARCHAR(20) COLLATE {loose} PRIMARY KEY, left_on DATE)",
        f"CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer VARCHAR(20) COLLATE {exact}, left_on DATE)",
        f"CREATE TABLE notes (id INTEGER PRIMARY KEY, name VARCHAR(20) COLLATE {exact}, left_on DATE)",
        f"INSERT INTO customers VALUES ('Abc', {LONG_AGO}), ('abd', {LONG_AGO}), ('0042', {LONG_AGO})",
        f"INSERT INTO contracts VALUES (1, 'Abc', {LONG_AGO}), (2, 'abd', {LONG_AGO}), (3, '42', {LONG_AGO})",
        f"INSERT INTO notes VALUES (1, 'ABC', {LONG_AGO}), (2, 'Abc', {LONG_AGO}), (3, ' ABC', {LONG_AGO})",
    )
    bench.hold("ABC", "42")
    bench.hold("ABC", "42", subject="name")
    records = "\n".join(
        [
            subject("customer", table="customers"),
            "contract: {source: crm, table: contracts, belongs_to: {customer: customer}}",
            subject("note", column="{name: name}", table="notes"),
        ]
    )
    assert bench.went(policy_text(records, due("note"))) == {"crm.notes": {2, 3}}
    assert bench.went(policy_text(records, due("contract"))) == {"crm.contracts": {2}}
    assert bench.went(policy_text(records, due("customer"))) == {"crm.customers": {"abd", "0042"}}


def test_uuids_are_held_however_they_are_spelled(bench: Holding) -> None:
    kind = {"sqlite": "TEXT"}.get(bench.engine(), "UUID")
    one, two, three = (str(uuid.UUID(int=number << 100 | 0xABCDEF)) for number in (1, 2, 3))
    bench.make(
        f"CREATE TABLE customers (id {kind} PRIMARY KEY, left_on DATE)",
        f"CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer {kind}, left_on DATE)",
        f"INSERT INTO customers VALUES ('{one}', {LONG_AGO}), ('{two}', {LONG_AGO}), ('{three}', {LONG_AGO})",
        f"INSERT INTO contracts VALUES (1, '{one}', {LONG_AGO}), (2, '{two}', {LONG_AGO}), (3, '{three}', {LONG_AGO})",
    )
    bench.hold(one if bench.engine() == "sqlite" else f"{{{one.upper()}}}")
    bench.hold(two if bench.engine() == "sqlite" else two.replace("-", ""))
    records = f"{subject('customer', table='customers')}\n"
    records += "contract: {source: crm, table: contracts, belongs_to: {customer: customer}}"
    assert bench.went(policy_text(records, due("contract"))) == {"crm.contracts": {3}}
    assert {str(key) for key in bench.went(policy_text(records, due("customer")))["crm.customers"]} == {three}


def test_rows_are_held_by_keys_of_several_parts(bench: Holding) -> None:
    bench.make(
        "CREATE TABLE visits (id INTEGER, room VARCHAR(20), day DATE, left_on DATE, PRIMARY KEY (id, room, day))",
        "INSERT INTO visits VALUES "
        + ", ".join(f"({n}, '{room}', '2020-02-0{n}', {LONG_AGO})" for n in range(1, 5) for room in ("a", "b,c", "d")),
    )
    bench.hold_rows("visit", "1, a, 2020-02-01", '2,"b,c",2020-02-02', '003,"d",2020-02-03', "4,a,2020-02-05")
    before = {tuple(map(str, row[:2])) for row in bench.rows("SELECT * FROM visits")}
    bench.carry(policy_text("visit: {source: crm, table: visits}", due("visit")), mode="run")
    left = {tuple(map(str, row[:2])) for row in bench.rows("SELECT * FROM visits")}
    assert left == {("1", "a"), ("2", "b,c"), ("3", "d")}
    assert left < before


@pytest.mark.parametrize("method", ["empty", "random"])
def test_masks_leave_held_rows_alone(bench: Holding, method: str) -> None:
    bench.make(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE letters (id INTEGER PRIMARY KEY, customer INTEGER, body VARCHAR(80), left_on DATE)",
        "CREATE TABLE pages (id INTEGER PRIMARY KEY, letter INTEGER, body VARCHAR(80), left_on DATE)",
        f"INSERT INTO customers VALUES (1, {LONG_AGO}), (2, {LONG_AGO})",
        "INSERT INTO letters VALUES " + ", ".join(f"({n}, {n % 3}, 'x{n}', {LONG_AGO})" for n in range(1, 10)),
        "INSERT INTO pages VALUES " + ", ".join(f"({n}, {n}, 'x{n}', {LONG_AGO})" for n in range(1, 10)),
    )
    bench.hold(1)
    records = "\n".join(
        [
            subject("customer", table="customers"),
            "letter: {source: crm, table: letters, belongs_to: {customer: customer}}",
            "page: {source: crm, table: pages, belongs_to: {letter: letter}}",
        ]
    )
    for name in ("letter", "page"):
        rule = f"record: {name}, keep: 1 year after left_on, then: {{pseudonymise: {{body: {method}}}}}"
        assert bench.went(policy_text(records, rule)) == {f"crm.{name}s": {2, 3, 5, 6, 8, 9}}


def test_ten_thousand_held_subjects(bench: Holding) -> None:
    count = 12_000
    bench.make(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(40), left_on DATE)",
        "CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer INTEGER, left_on DATE)",
        "CREATE TABLE papers (id INTEGER PRIMARY KEY, contract INTEGER, left_on DATE)",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, name VARCHAR(40), left_on DATE)",
        *(
            f"INSERT INTO {table} VALUES " + ", ".join(said.format(n=n, d=LONG_AGO) for n in range(count))
            for table, said in (
                ("customers", "({n}, 'name {n}', {d})"),
                ("contracts", "({n}, {n}, {d})"),
                ("papers", "({n}, {n}, {d})"),
                ("notes", "({n}, 'name {n}', {d})"),
            )
        ),
    )
    held, free = range(10_000), set(range(10_000, count))
    bench.chunk_rows = 1000
    bench.hold(*held)
    bench.hold(*(f"name {n}" for n in held), subject="name")
    records = "\n".join(
        [
            subject("customer", table="customers"),
            "contract: {source: crm, table: contracts, belongs_to: {customer: customer}}",
            "paper: {source: crm, table: papers, belongs_to: {contract: contract}}",
            subject("note", column="{name: name}", table="notes"),
        ]
    )
    for name in ("paper", "note", "customer"):
        assert bench.went(policy_text(records, due(name))) == {f"crm.{name}s": free}
