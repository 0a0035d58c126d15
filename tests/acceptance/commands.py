"""The installed command, called the way a person calls it, on databases made for one test."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.warm import call

COMMAND = Path(sys.executable).parent / "retentiond"

ACCEPT = 'accept = ["owner", "superuser"]'  # on a server, tests are its administrator
CANARY = "Xq7-canary-8842"  # stands in every text column; must never be seen in any output

SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80), email VARCHAR(80));
CREATE TABLE contracts (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), ended_at TIMESTAMP NULL,
  note VARCHAR(80)
);
CREATE TABLE invoices (
  id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL REFERENCES contracts (id), issued_on DATE, note VARCHAR(80)
);
CREATE TABLE complaints (
  id INTEGER PRIMARY KEY, customer_ref INTEGER, body VARCHAR(200), status VARCHAR(20),
  closed_at TIMESTAMP NULL, legal_hold SMALLINT NOT NULL
);
"""

CUSTOMERS = [(number, CANARY, f"{CANARY}@example.org") for number in range(1, 8)]
CONTRACTS = [
    (1, 1, "2013-02-01 10:00:00", CANARY),  # due
    (2, 2, "2013-02-01 10:00:00", CANARY),  # one ended, one running: not started
    (3, 2, None, CANARY),
    (4, 3, "2020-02-01 10:00:00", CANARY),  # not yet
    (5, 4, "1970-01-01 00:00:00", CANARY),  # suspect
    (6, 5, "2014-03-31 10:00:00", CANARY),  # due, but for an invoice
    (7, 6, "2015-03-31 10:00:00", CANARY),  # due
]
INVOICES = [(1, 1, "2010-05-05", CANARY), (2, 6, "2023-05-05", CANARY), (3, 7, "2011-01-01", CANARY)]
COMPLAINTS = [
    (1, 1, CANARY, "closed", "2026-01-10 10:00:00", 0),
    (2, 1, CANARY, "open", "2026-01-10 10:00:00", 0),
    (3, 2, CANARY, "closed", "2026-01-10 10:00:00", 1),
    (4, 2, CANARY, "closed", None, 0),
]

POLICY = """\
version: 1
name: shop
title: The shop's privacy policy
timezone: Europe/Brussels
promises:
  "1": contract data goes ten years after the end
  "2": complaints are made anonymous
  "3": invoices as long as the law says
records:
  customer:
    source: crm
    table: customers
    subject: id
    cascade: [contract]
  contract:
    source: crm
    table: contracts
    belongs_to: {customer: customer_id}
    cascade: [invoice]
  invoice: {source: crm, table: invoices, belongs_to: {contract: contract_id}}
  complaint:
    source: crm
    table: complaints
    belongs_to: {customer: customer_ref}
    held: legal_hold
rules:
  - name: contract-data
    clause: "1"
    record: customer
    basis: contract
    keep: 10 years after last contract.ended_at
    then: delete
  - name: complaint-data
    clause: "2"
    record: complaint
    where: status = 'closed'
    keep: until closed_at
    then:
      anonymise: {customer_ref: empty, body: empty, leave: [status, closed_at]}
    schedule: every 5 minutes
  - name: invoices-by-law
    clause: "3"
    record: invoice
    basis: legal obligation
    keep: at least 10 years after end of year of issued_on
    statute: {law: Belgian VAT Code art. 60, checked: 2026-11-22}
    then: nothing
"""

CASES = """\
policy: ../shop.yaml
cases:
  - name: leap day
    rule: contract-data
    row: {id: 7}
    related: {contract: [{ended_at: 2016-02-29 10:00:00}]}
    expect: {2026-02-28T23:59:59+01:00: not yet, 2026-03-01T00:00:00+01:00: delete}
"""

AT = "2026-06-01T00:00:00Z"


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True)
class Shop:
    """A folder with settings, a policy and one database."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "retentiond.toml"

    @property
    def policy(self) -> Path:
        return self.folder / "policies" / "shop.yaml"

    @property
    def database(self) -> Path:
        return self.folder / "crm.db"

    def __call__(self, *arguments: str, stdin: str | None = None, **environment: str) -> Done:
        """Calls the command with this shop's settings; no output of any command may show the canary."""
        return command("--config", str(self.settings), *arguments, stdin=stdin, folder=self.folder, **environment)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.database)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def change(self, statement: str) -> None:
        connection = sqlite3.connect(self.database)
        with connection:
            connection.executescript(statement)
        connection.close()


def command(*arguments: str, stdin: str | None = None, folder: Path | None = None, **environment: str) -> Done:
    """Calls the command in a process of its own; fails where a traceback or the canary is seen."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RETENTIOND_")}
    code, out, err = call(arguments, stdin=stdin or "", folder=folder, environment=clean | environment)
    for text in (out, err):
        assert "Traceback" not in text, text
        assert CANARY not in text
    return Done(code, out, err)


def make_shop(folder: Path, url: str | None = None) -> Shop:
    """A shop on SQLite; with a URL its settings name a database that somebody else fills."""
    shop = Shop(folder)
    (folder / "policies" / "tests").mkdir(parents=True)
    shop.policy.write_text(POLICY, encoding="utf-8")
    (folder / "policies" / "tests" / "shop.yaml").write_text(CASES, encoding="utf-8")
    shop.settings.write_text(
        f'timezone = "Europe/Brussels"\n\n[state]\nurl = "sqlite:///state.db"\n\n'
        f'[sources.crm]\nurl = "{url or "sqlite:///crm.db"}"\n{"" if url is None else ACCEPT}\n',
        encoding="utf-8",
    )
    if url is None:
        connection = sqlite3.connect(shop.database)
        with connection:
            connection.executescript(SCHEMA)
            for table, rows in tables():
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        connection.close()
    return shop


def tables() -> list[tuple[str, list[tuple[Any, ...]]]]:
    """The rows of the shop by table, parents first."""
    return [
        ("customers", list[tuple[Any, ...]](CUSTOMERS)),
        ("contracts", list[tuple[Any, ...]](CONTRACTS)),
        ("invoices", list[tuple[Any, ...]](INVOICES)),
        ("complaints", list[tuple[Any, ...]](COMPLAINTS)),
    ]
