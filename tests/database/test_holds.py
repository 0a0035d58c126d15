"""Legal holds on real databases: no row of a held subject goes, whatever way it belongs; everything else does."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from retentiond.errors import RefusedError
from tests.database.bench import policy_text
from tests.database.holding import Holding

SHOP = """\
customer: {source: crm, table: customers, subject: id, on_request: {stay: x}, cascade: [addresses, contract]}
contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}, cascade: [papers]}
invoice: {source: crm, table: invoices, belongs_to: {contract: contract_id}}
event: {source: crm, table: events}
"""
CUSTOMERS = "record: customer, keep: 1 year after left_on, then: delete"
CONTRACTS = "record: contract, keep: 1 year after left_on, then: delete"
INVOICES = "record: invoice, keep: 1 year after left_on, then: delete"
EVENTS = "record: event, keep: 1 year after left_on, then: delete"


def due(name: str) -> str:
    return f"record: {name}, keep: 1 year after left_on, then: delete"


@pytest.fixture
def bench(engine_url: str, tmp_path: Path) -> Iterator[Holding]:
    with Holding(tmp_path, {"crm": engine_url}, chunk_rows=3) as found:
        yield found


def shop(bench: Holding, customers: int = 5) -> None:
    """Customers 1, 2 … each with a contract, a paper, an invoice and an address of ten times its number."""
    bench.make(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, left_on DATE)",
        "CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (id), left_on DATE)",
        "CREATE TABLE papers (id INTEGER PRIMARY KEY, contract_id INTEGER REFERENCES contracts (id), left_on DATE)",
        "CREATE TABLE addresses (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (id))",
        "CREATE TABLE invoices (id INTEGER PRIMARY KEY, contract_id INTEGER, left_on DATE)",
        "CREATE TABLE events (id INTEGER PRIMARY KEY, left_on DATE)",
    )
    for number in range(1, customers + 1):
        bench.make(
            f"INSERT INTO customers VALUES ({number}, '2020-01-01')",
            f"INSERT INTO contracts VALUES ({number * 10}, {number}, '2020-01-01')",
            f"INSERT INTO papers VALUES ({number * 10}, {number * 10}, '2020-01-01')",
            f"INSERT INTO addresses VALUES ({number * 10}, {number})",
            f"INSERT INTO invoices VALUES ({number * 10}, {number * 10}, '2020-01-01')",
            f"INSERT INTO events VALUES ({number * 10}, '2020-01-01')",
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
