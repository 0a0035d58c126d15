"""Small worlds, one for each kind of thing that a rule can rest on; in each something is due, and something is kept."""

from __future__ import annotations

from dataclasses import dataclass

OLD, NEW = "'2013-02-01 10:00:00'", "'2026-02-01 10:00:00'"

TABLES = (
    (
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, number INTEGER NOT NULL UNIQUE, name VARCHAR(80),"
        " email VARCHAR(80), secret VARCHAR(80), closed_at TIMESTAMP NULL, billed_at TIMESTAMP NULL,"
        " done_at TIMESTAMP NULL, held SMALLINT NOT NULL, kind VARCHAR(9))"
    ),
    (
        "CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, secret VARCHAR(80),"
        " ended_at TIMESTAMP NULL, held SMALLINT NOT NULL, FOREIGN KEY (customer_id) REFERENCES customers (id))"
    ),
    (
        "CREATE TABLE documents (id INTEGER PRIMARY KEY, contract_id INTEGER NOT NULL, secret VARCHAR(80),"
        " filed_at TIMESTAMP NULL, FOREIGN KEY (contract_id) REFERENCES contracts (id))"
    ),
    (
        "CREATE TABLE letters (id INTEGER PRIMARY KEY, customer_number INTEGER NOT NULL, secret VARCHAR(80),"
        " sent_at TIMESTAMP NULL)"
    ),
    "CREATE TABLE readings (meter INTEGER NOT NULL, day DATE NOT NULL, secret VARCHAR(80), PRIMARY KEY (meter, day))",
    (
        "CREATE TABLE folders (id INTEGER PRIMARY KEY, parent_id INTEGER NULL, owner_id INTEGER NULL,"
        " secret VARCHAR(80), closed_at TIMESTAMP NULL, FOREIGN KEY (parent_id) REFERENCES folders (id))"
    ),
    (
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, folder_id INTEGER NULL, secret VARCHAR(80),"
        " FOREIGN KEY (folder_id) REFERENCES folders (id))"
    ),
)
ROWS = (
    (
        f"INSERT INTO customers VALUES (1, 11, 'Ann Other', 'a@example.org', 's', {OLD}, NULL, NULL, 0, 'x'),"
        f" (2, 12, 'Bo Other', 'b@example.org', 's', {OLD}, {NEW}, NULL, 1, 'x'),"
        f" (3, 13, 'Cy Other', 'c@example.org', 's', {NEW}, {NEW}, NULL, 0, 'y')"
    ),
    f"INSERT INTO contracts VALUES (1, 1, 's', {OLD}, 0), (2, 2, 's', {OLD}, 0), (3, 3, 's', {NEW}, 0)",
    f"INSERT INTO documents VALUES (1, 1, 's', {OLD}), (2, 2, 's', {OLD}), (3, 3, 's', {NEW})",
    f"INSERT INTO letters VALUES (1, 11, 's', {OLD}), (2, 12, 's', {OLD}), (3, 13, 's', {NEW})",
    "INSERT INTO readings VALUES (1, '2013-02-01', 's'), (1, '2026-02-01', 's')",
    f"INSERT INTO folders VALUES (1, NULL, NULL, 's', {OLD}), (2, 1, NULL, 's', {OLD}), (3, 3, NULL, 's', {NEW})",
    "UPDATE folders SET parent_id = 2 WHERE id = 1",
    "INSERT INTO notes VALUES (1, 1, 's'), (2, NULL, 's')",
)

CUSTOMER = "customer: {source: crm, table: customers, held: held}"
CONTRACT = "contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}}"
DOCUMENT = "document: {source: crm, table: documents, belongs_to: {contract: contract_id}}"
LETTER = "letter: {source: app, table: letters, belongs_to: {customer: {number: customer_number}}}"
LAW = "then: nothing, statute: {law: a law, checked: 2026-01-01}"


@dataclass(frozen=True)
class World:
    """Records and rules of one policy. `sources`: crm alone, or app too, where letters are."""

    records: tuple[str, ...]
    rules: tuple[str, ...]
    sources: tuple[str, ...] = ("crm",)
    due: int = 1

    @property
    def policy(self) -> str:
        records = "".join(f"  {record}\n" for record in self.records)
        rules = "".join(f"  - {{name: r{n}, clause: '{n}', {rule}}}\n" for n, rule in enumerate(self.rules, 1))
        return f"version: 1\nname: shop\ntitle: A shop\nrecords:\n{records}rules:\n{rules}"


WORLDS = {
    "own columns": World(
        (LETTER.replace("app", "crm").partition(", belongs_to")[0] + "}",),
        ("record: letter, where: id < 2, keep: 10 years after sent_at, then: delete",),
    ),
    "held and where": World(
        ("visit: {source: crm, table: contracts, held: held, cascade: [documents]}",),
        ("record: visit, where: customer_id = 1, keep: 10 years after ended_at, then: delete",),
    ),
    "composite key": World(
        ("reading: {source: crm, table: readings}",), ("record: reading, keep: 10 years after day, then: delete",)
    ),
    "cascade": World(
        (
            CUSTOMER.replace("held: held", "held: held, cascade: [contract]"),
            CONTRACT.replace("}}", "}, cascade: [document]}"),
            DOCUMENT,
        ),
        ("record: customer, keep: 10 years after closed_at, then: delete",),
    ),
    "circle": World(
        ("folder: {source: crm, table: folders, cascade: [folder, notes]}",),
        ("record: folder, keep: 10 years after closed_at, then: delete",),
        due=2,
    ),
    "related clock": World(
        (CUSTOMER, CONTRACT),
        (
            (
                "record: customer, keep: 10 years after last contract.ended_at,"
                " then: {pseudonymise: {name: {mask: {keep_last: 1}}, email: random}}"
            ),
        ),
    ),
    "two hops": World(
        (CUSTOMER, CONTRACT, DOCUMENT),
        (
            (
                "record: customer, keep: {whichever comes last: [10 years after last document.filed_at,"
                " 9 years after closed_at]}, then: {pseudonymise: {name: random}}"
            ),
        ),
    ),
    "up": World(
        (CUSTOMER, CONTRACT, DOCUMENT),
        ("record: document, keep: 10 years after customer.closed_at, then: delete",),
        due=2,
    ),
    "floors": World(
        (CUSTOMER, CONTRACT, DOCUMENT),
        (
            "record: customer, keep: 10 years after closed_at, then: {pseudonymise: {name: random}}",
            f"record: customer, where: id <> 2, keep: at least 5 years after last contract.ended_at, {LAW}",
            f"record: customer, keep: at least 5 years after last document.filed_at, {LAW}",
        ),
    ),
    "floored child": World(
        (
            "contract: {source: crm, table: contracts, cascade: [document]}",
            DOCUMENT.replace("contract_id}", "contract_id}, cascade: []"),
        ),
        (
            "record: contract, where: id < 3, keep: 10 years after ended_at, then: delete",
            f"record: document, keep: at least 5 years after contract.ended_at, {LAW}",
        ),
        due=2,
    ),
    "own floor": World(
        (CUSTOMER,),
        (
            "record: customer, keep: 10 years after closed_at, then: {pseudonymise: {email: {constant: none}}}",
            f"record: customer, where: kind = 'y', keep: at least 5 years after billed_at, {LAW}",
        ),
    ),
    "marker": World(
        (CUSTOMER.replace("held: held", "marker: done_at"),),
        ("record: customer, keep: 10 years after closed_at, then: {pseudonymise: {name: token, email: empty}}",),
        due=2,
    ),
    "clock elsewhere": World(
        (CUSTOMER, LETTER),
        ("record: customer, keep: 10 years after last letter.sent_at, then: {pseudonymise: {name: random}}",),
        ("crm", "app"),
    ),
    "cascade elsewhere": World(
        (
            "customer: {source: crm, table: customers, held: held, cascade: [contract, letter]}",
            CONTRACT.replace("}}", "}, cascade: [document]}"),
            DOCUMENT,
            LETTER,
        ),
        ("record: customer, keep: 10 years after closed_at, then: delete",),
        ("crm", "app"),
    ),
    "floor elsewhere": World(
        (CUSTOMER, LETTER),
        (
            "record: customer, keep: 10 years after closed_at, then: {pseudonymise: {name: random}}",
            f"record: customer, keep: at least 5 years after last letter.sent_at, {LAW}",
        ),
        ("crm", "app"),
    ),
}
