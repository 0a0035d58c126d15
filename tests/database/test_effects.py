"""What nobody declared is not taken along: what the schema does beyond the plan rolls back, whole, and is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa

from tests.database.stage import LATELY, LONG_AGO, Rival, Stage, inserts, played

NewDatabase = Callable[[str], str]
Engine = Literal["sqlite", "postgresql", "mariadb"]
ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql", "mariadb")
SECRET = "secret-7731"

POLICY = """\
version: 1
name: crm
title: CRM
timezone: UTC
records:
  customer: {{source: crm, table: customer, cascade: [contract]}}
  contract: {{source: crm, table: contract, belongs_to: {{customer: customer_id}}}}
rules:
  - {{name: old, clause: '1', record: customer, keep: 1 year after left_at, then: {then}}}
"""
THEN = {"delete": "delete", "mask": "{pseudonymise: {email: token}}"}

TABLES = (
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, email VARCHAR(80) UNIQUE, seen INTEGER, left_at TIMESTAMP NULL)",
    (
        "CREATE TABLE contract (id INTEGER PRIMARY KEY, customer_id INTEGER, note VARCHAR(80),"
        " FOREIGN KEY (customer_id) REFERENCES customer (id))"
    ),
    "CREATE TABLE log (note VARCHAR(80))",
)
OTHER = "CREATE TABLE other (id INTEGER PRIMARY KEY, customer_id INTEGER, email VARCHAR(80){0})"
THIRD = "CREATE TABLE third (id INTEGER PRIMARY KEY, other_id INTEGER{0})"


def other_rows() -> list[str]:
    others = [{"id": 50 + n, "customer_id": n % 7 + 1, "email": f"{SECRET}-{n % 7 + 1}"} for n in range(14)]
    thirds = [{"id": 100 + n, "other_id": 50 + n % 14} for n in range(28)]
    return [*inserts("other", others), *inserts("third", thirds)]


def world(engine: str) -> list[str]:
    customers = [
        {"id": n, "email": f"{SECRET}-{n}", "seen": 0, "left_at": LONG_AGO if n <= 5 else LATELY} for n in range(1, 8)
    ]
    contracts = [{"id": 10 + n, "customer_id": n % 7 + 1, "note": "old"} for n in range(14)]
    rows = [*inserts("customer", customers), *inserts("contract", contracts), *inserts("log", [{"note": "first"}])]
    return [*TABLES, OTHER.format(""), THIRD.format(""), *rows, *other_rows()]


def made_anew(other: str, third: str = "") -> list[str]:
    """The tables `other` and `third` with foreign keys that they did not have; SQLite cannot add one."""
    return ["DROP TABLE third", "DROP TABLE other", OTHER.format(other), THIRD.format(third), *other_rows()]


def trigger(
    engine: str, table: str, event: str, body: str, *, timing: str = "AFTER", each: str = "ROW", name: str = "meddles"
) -> list[str]:
    if engine != "postgresql":
        return [f"CREATE TRIGGER {name} {timing} {event} ON {table} FOR EACH {each} BEGIN {body}; END"]
    returned = "NULL" if timing == "AFTER" else "OLD" if event == "DELETE" else "NEW"
    return [
        (
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS"
            f" $$ BEGIN {body}; RETURN {returned}; END $$"
        ),
        f"CREATE TRIGGER {name} {timing} {event} ON {table} FOR EACH {each} EXECUTE FUNCTION {name}()",
    ]


@dataclass(frozen=True)
class Case:
    """What somebody does to the schema after it was compiled; the words that the message must hold."""

    action: Literal["delete", "mask"]
    engines: Sequence[Engine]
    meddling: Callable[[str], Sequence[str]]
    named: Sequence[str]


def cascading(action: str) -> Callable[[str], list[str]]:
    def statements(engine: str) -> list[str]:
        return made_anew(
            f", CONSTRAINT other_fk FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE {action}",
            ", CONSTRAINT third_fk FOREIGN KEY (other_id) REFERENCES other (id) ON DELETE CASCADE",
        )

    return statements


def moving(engine: str) -> list[str]:
    return made_anew(", CONSTRAINT other_fk FOREIGN KEY (email) REFERENCES customer (email) ON UPDATE CASCADE")


def deferred(engine: str) -> list[str]:
    function = trigger(engine, "customer", "DELETE", "DELETE FROM other WHERE customer_id = OLD.id")[0]
    return [
        function,
        (
            "CREATE CONSTRAINT TRIGGER meddles AFTER DELETE ON customer DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
            " EXECUTE FUNCTION meddles()"
        ),
    ]


CASES = {
    "a cascade over three levels": Case("delete", ENGINES, cascading("CASCADE"), ["crm.other", "ON DELETE CASCADE"]),
    "a key that is emptied": Case("delete", ENGINES, cascading("SET NULL"), ["crm.other", "ON DELETE SET NULL"]),
    "a key that follows the mask": Case("mask", ENGINES, moving, ["crm.other", "ON UPDATE CASCADE"]),
    "a trigger deletes elsewhere": Case(
        "delete",
        ENGINES,
        lambda engine: trigger(engine, "customer", "DELETE", "DELETE FROM third WHERE id = 100 + OLD.id"),
        ["crm.third", "trigger meddles"],
    ),
    "a trigger keeps a copy of what goes": Case(
        "delete",
        ENGINES,
        lambda engine: trigger(engine, "customer", "DELETE", "INSERT INTO log VALUES (OLD.email)"),
        ["crm.log", "trigger meddles"],
    ),
    "a trigger keeps a copy of what is masked": Case(
        "mask",
        ENGINES,
        lambda engine: trigger(engine, "customer", "UPDATE", "INSERT INTO log VALUES (OLD.email)"),
        ["crm.log", "trigger meddles"],
    ),
    "a trigger updates elsewhere": Case(
        "mask",
        ENGINES,
        lambda engine: trigger(engine, "customer", "UPDATE", "UPDATE third SET other_id = NULL WHERE id = 101"),
        ["crm.third", "trigger meddles"],
    ),
    "a trigger of a declared child": Case(
        "delete",
        ENGINES,
        lambda engine: trigger(engine, "contract", "DELETE", "DELETE FROM third WHERE id = 90 + OLD.id"),
        ["crm.third", "trigger meddles"],
    ),
    "a trigger two steps away": Case(
        "delete",
        ENGINES,
        lambda engine: [
            *trigger(engine, "contract", "DELETE", "UPDATE log SET note = 'x'", name="first"),
            *trigger(engine, "log", "UPDATE", "DELETE FROM third WHERE id > 110", name="second"),
        ],
        ["crm.third", "trigger second"],
    ),
    "a trigger writes the old value back": Case(
        "mask",
        ("sqlite", "postgresql"),
        lambda engine: trigger(
            engine,
            "customer",
            "UPDATE",
            "UPDATE customer SET email = OLD.email"
            " WHERE id = OLD.id AND email LIKE 'anon%' AND OLD.email LIKE 'secret%'",
        ),
        ["crm.customer", "trigger meddles"],
    ),
    "a trigger takes the new value back": Case(
        "mask",
        ("mariadb",),
        lambda engine: trigger(engine, "customer", "UPDATE", "SET NEW.email = OLD.email", timing="BEFORE"),
        ["crm: 5 rows fewer were updated"],
    ),
    "a trigger for the whole statement": Case(
        "delete",
        ("postgresql",),
        lambda engine: trigger(engine, "customer", "DELETE", "DELETE FROM third", each="STATEMENT"),
        ["crm.third: 28 rows would also be deleted by the trigger meddles"],
    ),
    "a trigger that waits for the commit": Case(
        "delete", ("postgresql",), deferred, ["crm.other: 10 rows would also be deleted by the trigger meddles"]
    ),
    "a trigger empties a table at once": Case(
        "delete",
        ("postgresql",),
        lambda engine: trigger(engine, "customer", "DELETE", "TRUNCATE log"),
        ["crm: something creates, drops or empties tables"],
    ),
    "a trigger makes a table": Case(
        "delete",
        ("postgresql",),
        lambda engine: trigger(
            engine, "customer", "DELETE", "CREATE TABLE IF NOT EXISTS keep AS SELECT * FROM customer"
        ),
        ["crm: something creates, drops or empties tables", "crm.keep: 2 rows would also be inserted"],
    ),
    "a trigger nobody can look into": Case(
        "delete",
        ("postgresql",),
        lambda engine: trigger(engine, "customer", "DELETE", "EXECUTE 'DELETE FROM ' || 'third'"),
        ["crm.third: 28 rows", "trigger meddles of customer, which cannot be looked into"],
    ),
    "a rule does more": Case(
        "delete",
        ("postgresql",),
        lambda engine: [
            "CREATE RULE meddles AS ON DELETE TO customer DO ALSO DELETE FROM third WHERE id = 100 + OLD.id"
        ],
        ["crm.third", "rule meddles"],
    ),
}


def on(engine: str, *values: str) -> Any:
    """The parameters of a test, with the engine's mark."""
    marks = [] if engine == "sqlite" else [getattr(pytest.mark, engine)]
    return pytest.param(engine, *values, id="-".join((*values, engine)), marks=marks)


def policy(action: str) -> str:
    return POLICY.format(then=THEN[action])


@contextmanager
def staged(
    new_database: NewDatabase, folder: Path, engine: str, action: str, *, chunk_rows: int = 1000
) -> Iterator[Stage]:
    """A world with a policy that was compiled against it, its fence there."""
    with Stage(folder, {"crm": new_database(engine)}, policy(action), chunk_rows) as stage:
        stage.administer(*world(engine))
        assert stage.jobs
        assert stage.custody is not None
        yield stage


def everything(stage: Stage) -> dict[str, list[str]]:
    """Every row of every table but the fence."""
    names = sa.inspect(stage._administrator("crm")).get_table_names()
    stage._administrator("crm").rollback()
    return {
        name: sorted(map(repr, stage.rows(f"SELECT * FROM {name}")))
        for name in names
        if not name.startswith("retentiond")
    }


@pytest.mark.parametrize(
    ("engine", "name"), [on(engine, name) for name, case in CASES.items() for engine in case.engines]
)
def test_what_the_schema_does_beyond_the_plan_is_rolled_back_and_named(
    engine: str, name: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    case = CASES[name]
    with staged(new_database, tmp_path, engine, case.action) as stage:
        stage.administer(*case.meddling(engine))
        before = everything(stage)
        (report,) = stage.run()
        assert everything(stage) == before
        assert report.failed is not None
        assert report.failed.code == "effect-mismatch", report.failed
        assert (report.done, report.set_aside) == (0, 0)
        for words in case.named:
            assert words in report.failed.message, report.failed.message
        assert SECRET not in report.failed.message


@pytest.mark.parametrize(("engine", "action"), [on(engine, action) for engine in ENGINES for action in THEN])
def test_nothing_is_the_matter_where_nothing_was_added(
    engine: str, action: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    with staged(new_database, tmp_path, engine, action, chunk_rows=2) as stage:
        (report,) = stage.run()
        assert (report.failed, report.done) == (None, 5)
        assert len(everything(stage)["customer"]) == {"delete": 2, "mask": 7}[action]


@pytest.mark.parametrize("engine", [on("postgresql"), on("mariadb")])
def test_what_other_sessions_change_meanwhile_is_theirs(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(new_database, tmp_path, engine, "delete") as stage:
        rival = Rival(stage.urls["crm"], "DELETE FROM third", "INSERT INTO log VALUES ('x')")
        (report,) = played(stage, monkeypatch, "locked", rival)
        assert (report.done, rival.took_effect) == (5, True)


COUNTS = "UPDATE customer SET seen = seen + 1 WHERE id = OLD.customer_id"


@pytest.mark.parametrize("engine", [on(engine) for engine in ENGINES])
def test_a_trigger_that_the_plan_knows_may_count(engine: str, new_database: NewDatabase, tmp_path: Path) -> None:
    with Stage(tmp_path, {"crm": new_database(engine)}, policy("delete"), chunk_rows=2) as stage:
        stage.administer(*world(engine), *trigger(engine, "contract", "DELETE", COUNTS, name="counts"))
        assert stage.jobs[0].cascade[0].stirs[0].tables[0].endswith("customer")
        (report,) = stage.run()
        assert (report.failed, report.done) == (None, 5)


@pytest.mark.parametrize("engine", [on(engine) for engine in ("sqlite", "mariadb")])
@pytest.mark.parametrize("change", ["another one", "another text"])
def test_beside_a_trigger_that_the_plan_knows_another_one_does_not_hide(
    engine: str, change: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    with Stage(tmp_path, {"crm": new_database(engine)}, policy("delete")) as stage:
        stage.administer(*world(engine), *trigger(engine, "contract", "DELETE", COUNTS, name="counts"))
        assert stage.jobs
        if change == "another one":
            stage.administer(*trigger(engine, "contract", "DELETE", "UPDATE third SET other_id = 51", name="hides"))
        else:
            stage.administer(
                "DROP TRIGGER counts",
                *trigger(engine, "contract", "DELETE", "UPDATE customer SET seen = 0", name="counts"),
            )
        before = everything(stage)
        (report,) = stage.run()
        assert everything(stage) == before
        assert report.failed is not None
        assert report.failed.code == "effect-mismatch"


@pytest.mark.parametrize("engine", [on(engine) for engine in ("sqlite", "postgresql")])
def test_a_trigger_that_notes_the_last_change_of_a_masked_row(
    engine: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    notes = "UPDATE customer SET seen = 1 WHERE id = OLD.id AND seen = 0"
    with Stage(tmp_path, {"crm": new_database(engine)}, policy("mask"), chunk_rows=2) as stage:
        stage.administer(*world(engine), *trigger(engine, "customer", "UPDATE", notes))
        (report,) = stage.run()
        assert (report.failed, report.done) == (None, 5)
        assert stage.ids("customer WHERE seen = 1") == {1, 2, 3, 4, 5}


CIRCLE = """\
version: 1
name: crm
title: CRM
timezone: UTC
records:
  customer: {source: crm, table: customer, cascade: [contract, customer]}
  contract: {source: crm, table: contract, belongs_to: {customer: customer_id}}
rules:
  - {name: old, clause: '1', record: customer, keep: 1 year after left_at, then: delete}
"""


@pytest.mark.parametrize("engine", [on(engine) for engine in ENGINES])
def test_a_circle_is_emptied_and_counted(engine: str, new_database: NewDatabase, tmp_path: Path) -> None:
    table = (
        "CREATE TABLE customer (id INTEGER PRIMARY KEY, friend INTEGER, left_at TIMESTAMP NULL,"
        " FOREIGN KEY (friend) REFERENCES customer (id) ON DELETE SET NULL)"
    )
    with Stage(tmp_path, {"crm": new_database(engine)}, CIRCLE) as stage:
        rows = [{"id": n, "friend": None, "left_at": LONG_AGO} for n in range(1, 7)]
        stage.administer(table, TABLES[1], *inserts("customer", rows))
        for number, friend in ((1, 2), (2, 3), (3, 1), (4, 4), (5, 4)):
            stage.administer(f"UPDATE customer SET friend = {friend} WHERE id = {number}")
        (report,) = stage.run()
        assert (report.failed, report.done) == (None, 6)
