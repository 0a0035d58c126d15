"""Rows that cannot go: each is set aside and told of without a value of it, the others go (B02, B06, m7, m16)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from retentiond.engine.report import JobReport
from retentiond.errors import PolicyError
from tests.database.stage import LONG_AGO, Stage, inserts

SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]
ENGINES = [pytest.param("sqlite"), *SERVERS]
NewDatabase = Callable[[str], str]

CANARY = "Zq7-canary-9163"
ROWS = 240
POISON = 137

POLICY = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers, marker: done_at CASCADE}
  order: {source: crm, table: orders, belongs_to: {customer: customer_id}}
rules:
  - {name: old, record: customer, clause: "1", keep: 10 years after closed_at, then: THEN}
"""
SCHEMA = (
    """CREATE TABLE customers (id INTEGER PRIMARY KEY, closed_at TIMESTAMP NULL, done_at TIMESTAMP NULL,
         name VARCHAR(80), email VARCHAR(120) UNIQUE, notes VARCHAR(200))""",
    """CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
         note VARCHAR(80))""",
    "CREATE INDEX by_customer ON orders (customer_id)",
)


def policy(then: str = "delete", cascade: bool = True) -> str:
    return POLICY.replace("THEN", then).replace(" CASCADE", ", cascade: [order]" if cascade else "")


@contextmanager
def staged(url: str, folder: Path, text: str) -> Iterator[Stage]:
    """Customers 1 to 240, all due, one order each; the canary in every text."""
    numbers = range(1, ROWS + 1)
    with Stage(folder, {"crm": url}, text, chunk_rows=100) as stage:
        people = [
            {"id": n, "closed_at": LONG_AGO, "name": CANARY, "email": f"{CANARY}-{n}@example.org", "notes": CANARY}
            for n in numbers
        ]
        stage.administer(
            *SCHEMA,
            *inserts("customers", people),
            *inserts("orders", [{"id": 1000 + n, "customer_id": n, "note": CANARY} for n in numbers]),
        )
        assert len(stage.jobs) == 1  # compiled now: what the tests add to the schema comes after
        yield stage


def told_nothing(stage: Stage, report: JobReport, log: pytest.LogCaptureFixture) -> None:
    """No value of a row in what was reported, remembered or logged."""
    texts = [repr(report), json.dumps(report.as_json()), log.text, *(str(record.__dict__) for record in log.records)]
    texts += [file.read_bytes().decode("latin-1") for file in stage.folder.glob("state.db*") if file.is_file()]
    assert not [text for text in texts if CANARY in text]


def poison(engine: str, kind: str) -> list[str]:
    return {
        "foreign key": [
            "CREATE TABLE late (customer_id INTEGER NOT NULL REFERENCES customers (id), note VARCHAR(80))",
            f"INSERT INTO late VALUES ({POISON}, '{CANARY}')",
        ],
        "trigger": trigger(engine, "customers", "DELETE", raising(engine), f"OLD.id = {POISON}"),
        "check": {
            "sqlite": trigger("sqlite", "customers", "UPDATE", raising("sqlite"), f"OLD.id = {POISON}"),
        }.get(engine, [f"ALTER TABLE customers ADD CONSTRAINT fine CHECK (id <> {POISON} OR name <> 'gone')"]),
        "unique": [
            f"UPDATE customers SET name = 'gone', done_at = '{LONG_AGO}' WHERE id = 5",
            f"UPDATE customers SET notes = 'n{POISON}' WHERE id = {POISON}",
            f"UPDATE customers SET notes = 'n{POISON}' WHERE id = 5",
            "CREATE UNIQUE INDEX twins ON customers ((CASE WHEN name = 'gone' AND notes <> '"
            + CANARY
            + "' THEN notes END))",
        ],
    }[kind]


def raising(engine: str) -> str:
    return {
        "sqlite": f"SELECT RAISE(ABORT, '{CANARY}')",
        "postgresql": f"RAISE EXCEPTION '{CANARY} %', OLD.email",
        "mariadb": f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{CANARY}'",
    }[engine]


def trigger(engine: str, table: str, event: str, body: str, when: str, *, timing: str = "BEFORE") -> list[str]:
    name = f"stops_{table}"
    if engine == "postgresql":
        returned = "OLD" if event == "DELETE" else "NEW"
        return [
            (
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN IF {when} THEN {body}; END IF; RETURN {returned}; END $$"
            ),
            f"CREATE TRIGGER {name} {timing} {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
        ]
    if engine == "mariadb":
        return [
            f"CREATE TRIGGER {name} {timing} {event} ON {table} FOR EACH ROW BEGIN IF {when} THEN {body}; END IF; END"
        ]
    return [f"CREATE TRIGGER {name} {timing} {event} ON {table} WHEN {when} BEGIN {body}; END"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["foreign key", "trigger"])
def test_one_row_that_cannot_be_deleted_is_set_aside(
    engine: str, kind: str, new_database: NewDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with staged(new_database(engine), tmp_path, policy()) as stage:
        stage.administer(*poison(engine, kind))
        (report,) = stage.run()
        assert (report.due, report.done, report.set_aside) == (ROWS, ROWS - 1, 1)
        assert report.cascade == {"crm.orders": ROWS - 1}
        assert (stage.ids("customers"), stage.ids("orders")) == ({POISON}, {1000 + POISON})
        assert report.failed is not None
        assert "rows set aside: 1;" in report.failed.message
        if kind == "foreign key":
            assert report.failed.code in ("23503", "1451", "SQLITE_CONSTRAINT_FOREIGNKEY")
            assert engine == "sqlite" or "late" in report.failed.message
        told_nothing(stage, report, caplog)
        run = stage.store.runs.last("shop", "old", "crm")
        assert run is not None
        assert (run.outcome, run.done) == ("failed", ROWS - 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["check", "unique", "mask"])
def test_one_row_that_cannot_be_masked_is_set_aside(
    engine: str, kind: str, new_database: NewDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if kind == "unique" and engine == "mariadb":
        pytest.skip("MariaDB has no index over an expression")
    methods = {"check": "name: {constant: gone}", "unique": "name: {constant: gone}"}
    then = "{pseudonymise: {" + methods.get(kind, "notes: {json: {a: empty}}, name: {constant: gone}") + "}}"
    with staged(new_database(engine), tmp_path, policy(then, cascade=False)) as stage:
        bad, due = {POISON}, ROWS
        if kind == "mask":
            stage.administer(f"UPDATE customers SET notes = '{{}}' WHERE id <> {POISON}")
        else:
            stage.administer(*poison(engine, kind))
            due -= kind == "unique"
        (report,) = stage.run()
        assert report.failed is not None
        assert (report.due, report.done, report.set_aside) == (due, due - 1, 1), report.failed
        assert stage.ids("customers WHERE name <> 'gone'") == bad
        assert stage.ids("customers WHERE done_at IS NULL") == bad
        told_nothing(stage, report, caplog)


VETOES = {
    "postgresql": {
        "trigger": trigger("postgresql", "{table}", "DELETE", "RETURN NULL", "OLD.id > 0"),
        "rule": ["CREATE RULE stay AS ON DELETE TO {table} DO INSTEAD NOTHING"],
    },
    "mariadb": {"trigger": trigger("mariadb", "{table}", "DELETE", raising("mariadb"), "OLD.id > 0")},
    "sqlite": {"trigger": trigger("sqlite", "{table}", "DELETE", "SELECT RAISE(IGNORE)", "OLD.id > 0")},
}


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        pytest.param("postgresql", "trigger", marks=pytest.mark.postgresql),
        pytest.param("postgresql", "rule", marks=pytest.mark.postgresql),
        pytest.param("mariadb", "trigger", marks=pytest.mark.mariadb),
        ("sqlite", "trigger"),
    ],
)
@pytest.mark.parametrize("table", ["customers", "orders"])
def test_a_veto_is_never_nothing_to_do(
    engine: str, kind: str, table: str, new_database: NewDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    veto = [statement.replace("{table}", table).replace("{{", "{") for statement in VETOES[engine][kind]]
    url = new_database(engine)
    with staged(url, tmp_path, policy()) as stage:
        stage.administer("DELETE FROM orders WHERE id > 1020", "DELETE FROM customers WHERE id > 20", *veto)
        before = stage.rows("SELECT * FROM customers ORDER BY id"), stage.rows("SELECT * FROM orders ORDER BY id")
        (report,) = stage.run()
        after = stage.rows("SELECT * FROM customers ORDER BY id"), stage.rows("SELECT * FROM orders ORDER BY id")
        assert after == before
        assert report.failed is not None
        assert report.failed.code == {"mariadb": "1644"}.get(engine, "count-mismatch")
        assert (report.due, report.done, report.set_aside) == (20, 0, 20)
        told_nothing(stage, report, caplog)
    if kind == "rule":  # a trigger that touches no table may do as it likes; what it does is seen when rows should go
        with Stage(tmp_path, {"crm": url}, policy()) as again, pytest.raises(PolicyError):
            assert again.jobs


@pytest.mark.postgresql
@pytest.mark.parametrize("masking", [False, True])
def test_rows_that_row_level_security_hides_are_an_error(
    masking: bool, new_database: NewDatabase, tmp_path: Path
) -> None:
    then = "{pseudonymise: {name: {constant: gone}}}" if masking else "delete"
    url = new_database("postgresql")
    role = f"least_{Path(url).name}"
    with staged(url, tmp_path, policy(then, cascade=not masking)) as stage:
        stage.administer(
            f"CREATE ROLE {role} LOGIN",
            f"GRANT ALL ON customers, orders TO {role}",
        )
        try:
            stage.working_urls["crm"] = url.replace("postgres@", f"{role}@")
            del stage.sources
            stage.administer("ALTER TABLE customers ENABLE ROW LEVEL SECURITY")
            (report,) = stage.run()
            assert report.failed is not None
            assert report.failed.code == "42501"
            assert "row-level security hides rows of table customers" in report.failed.message
            assert (report.done, len(stage.ids("customers"))) == (0, ROWS)
        finally:
            stage.sources.close()
            stage.administer(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_job_stops_where_everything_fails(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retentiond.engine import job_run

    monkeypatch.setattr(job_run, "_MOST_FAILED", 12)
    with staged(new_database(engine), tmp_path, policy()) as stage:
        stage.administer(*trigger(engine, "customers", "DELETE", raising(engine), "OLD.id > 4"))
        (report,) = stage.run()
        assert report.failed is not None
        assert "12 rows were set aside, then the job" in report.failed.message
        assert (report.done, report.set_aside) == (4, 12)
        assert CANARY not in report.failed.message
