"""What is peculiar to one engine's counters: partitions, owners, shadow tables, sessions; and what stood in the way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from retentiond.compiler.plan import Job
from retentiond.engine.effects import Baseline, Effects, Expected
from retentiond.engine.report import JobReport
from retentiond.engine.session import Session, Transaction
from retentiond.errors import FailedError
from tests.database.stage import LONG_AGO, Interrupted, Stage, inserts
from tests.database.test_effects import ENGINES, everything, made_anew, on, policy, staged, trigger, world

NewDatabase = Callable[[str], str]
EVENTS = """\
version: 1
name: crm
title: CRM
timezone: UTC
records:
  event: {{source: crm, table: event}}
rules:
  - {{name: old, clause: '1', record: event, keep: 1 year after at, then: {0}}}
"""
DELETE, MASK = EVENTS.format("delete"), EVENTS.format("{pseudonymise: {email: token}}")


def events(*places: int) -> list[str]:
    rows = [{"id": n, "place": n % len(places), "at": LONG_AGO, "email": f"e-{n}"} for n in range(12)]
    return inserts("event", rows)


PARTITIONED = {
    "postgresql": [
        (
            "CREATE TABLE event (id INTEGER, place INTEGER, at TIMESTAMP, email VARCHAR(60), PRIMARY KEY (id, place))"
            " PARTITION BY LIST (place)"
        ),
        "CREATE TABLE event_0 PARTITION OF event FOR VALUES IN (0)",
        "CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1, 2) PARTITION BY LIST (place)",
        "CREATE TABLE event_1_1 PARTITION OF event_1 FOR VALUES IN (1)",
        "CREATE TABLE event_1_2 PARTITION OF event_1 FOR VALUES IN (2)",
    ],
    "mariadb": [
        (
            "CREATE TABLE event (id INTEGER, place INTEGER, at DATETIME, email VARCHAR(60), PRIMARY KEY (id, place))"
            " PARTITION BY LIST (place) (PARTITION a VALUES IN (0), PARTITION b VALUES IN (1, 2))"
        ),
    ],
}


@contextmanager
def open_transaction(stage: Stage) -> Iterator[tuple[Transaction, Effects]]:
    """A writing transaction on the stage's source, and the effect check of its job."""
    (job,) = stage.jobs
    assert isinstance(job, Job)
    with Session(stage.sources, apply=True) as session, session.transaction() as transaction:
        yield transaction, Effects(job)


def failed(reports: list[JobReport]) -> str:
    """The message of a run's only job, that failed for what it would have taken along."""
    (report,) = reports
    assert report.failed is not None
    assert report.failed.code == "effect-mismatch", report.failed
    assert report.done == 0
    return report.failed.message


@pytest.mark.parametrize("text", [DELETE, MASK], ids=["delete", "mask"])
@pytest.mark.parametrize("engine", [on("postgresql"), on("mariadb")])
def test_partitions_count_as_their_table(engine: str, text: str, new_database: NewDatabase, tmp_path: Path) -> None:
    with Stage(tmp_path, {"crm": new_database(engine)}, text, chunk_rows=5) as stage:
        stage.administer(*PARTITIONED[engine], *events(0, 1, 2))
        (report,) = stage.run()
        assert (report.failed, report.done) == (None, 12)


@pytest.mark.postgresql
def test_a_trigger_of_one_partition_is_seen(new_database: NewDatabase, tmp_path: Path) -> None:
    with Stage(tmp_path, {"crm": new_database("postgresql")}, DELETE) as stage:
        stage.administer(*PARTITIONED["postgresql"], *events(0, 1, 2), "CREATE TABLE log (note VARCHAR(60))")
        assert stage.jobs
        stage.administer(*trigger("postgresql", "event_1_2", "DELETE", "INSERT INTO log VALUES (OLD.email)"))
        before = everything(stage)
        assert "crm.log: 4 rows would also be inserted by the trigger meddles" in failed(stage.run())
        assert everything(stage) == before


@pytest.mark.postgresql
def test_a_row_that_moves_between_partitions_was_updated_once(new_database: NewDatabase, tmp_path: Path) -> None:
    with Stage(tmp_path, {"crm": new_database("postgresql")}, MASK) as stage:
        stage.administer(*PARTITIONED["postgresql"], *events(0, 1, 2))
        with open_transaction(stage) as (transaction, effects):
            before = effects.begin(transaction, "crm")
            moved = transaction.execute("crm", sa.text("UPDATE public.event SET place = 2 WHERE id < 7")).rowcount
            assert effects.check(transaction, "crm", before, Expected(updated={"crm.event": moved})) == {"crm.event": 7}
            transaction.execute("crm", sa.text("DELETE FROM public.event WHERE id = 11"))
            with pytest.raises(FailedError, match=r"crm\.event: 1 row would also be deleted"):
                effects.check(transaction, "crm", before, Expected(updated={"crm.event": moved}))


@pytest.mark.postgresql
def test_rows_of_a_table_that_inherits_do_not_go(new_database: NewDatabase, tmp_path: Path) -> None:
    with staged(new_database, tmp_path, "postgresql", "delete") as stage:
        row = {"id": 9, "email": "heir", "seen": 0, "left_at": LONG_AGO}
        stage.administer("CREATE TABLE heir () INHERITS (customer)", *inserts("heir", [row]))
        before = everything(stage)
        assert "crm.heir: 1 row would also be deleted by inheritance from customer" in failed(stage.run())
        assert everything(stage) == before


@pytest.mark.postgresql
def test_an_owner_cannot_borrow_our_rights_over_another_ones_table(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database("postgresql")
    anna, bert, ours = (f"{name}_{uuid.uuid4().hex[:8]}" for name in ("anna", "bert", "ours"))
    stage = Stage(tmp_path, {"crm": url}, policy("delete"))
    stage.working_urls["crm"] = sa.make_url(url).set(username=ours).render_as_string(hide_password=False)
    try:
        with stage:
            stage.administer(
                *(f"CREATE ROLE {role} LOGIN" for role in (anna, bert, ours)),
                *world("postgresql"),
                "CREATE TABLE ledger (id INTEGER PRIMARY KEY)",
                "INSERT INTO ledger SELECT generate_series(1, 50)",
                f"ALTER TABLE customer OWNER TO {anna}",
                f"ALTER TABLE ledger OWNER TO {bert}",
                f"GRANT SELECT, UPDATE, DELETE ON customer, contract, ledger TO {ours}",
                f"GRANT CREATE, USAGE ON SCHEMA public TO {anna}",
            )
            assert stage.jobs
            assert stage.custody is not None
            stage.administer(
                f"SET LOCAL ROLE {anna}", *trigger("postgresql", "customer", "DELETE", "DELETE FROM ledger")
            )
            message = failed(stage.run())
            assert "crm.ledger: 50 rows would also be deleted by the trigger meddles of customer" in message
            assert len(stage.rows("SELECT * FROM ledger")) == 50
            # A table on which the role has no right at all is counted too.
            stage.administer("DROP TRIGGER meddles ON customer", *made_anew(KEY), f"ALTER TABLE other OWNER TO {bert}")
            before = everything(stage)
            assert "crm.other: 10 rows would also be deleted by the foreign key other_fk" in failed(stage.run())
            assert everything(stage) == before
    finally:
        with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
            for role in (anna, bert, ours):
                connection.exec_driver_sql(f"DROP OWNED BY {role} CASCADE")
                connection.exec_driver_sql(f"DROP ROLE {role}")


KEY = ", CONSTRAINT other_fk FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE"


@pytest.mark.mariadb
@pytest.mark.parametrize("process", [True, False])
def test_mariadb_shows_keys_of_tables_the_role_may_not_touch_to_whom_has_process(
    process: bool, new_database: NewDatabase, tmp_path: Path
) -> None:
    """Without PROCESS nobody sees them: the guard `blind-role` says so unless it is told to be quiet."""
    url, ours = new_database("mariadb"), f"ours_{uuid.uuid4().hex[:8]}"
    stage = Stage(tmp_path, {"crm": url}, policy("delete"))
    stage.working_urls["crm"] = sa.make_url(url).set(username=ours).render_as_string(hide_password=False)
    try:
        with stage:
            stage.administer(
                *world("mariadb"),
                f"CREATE USER {ours}",
                *(f"GRANT SELECT, UPDATE, DELETE, TRIGGER ON {table} TO {ours}" for table in ("customer", "contract")),
                *([f"GRANT PROCESS ON *.* TO {ours}"] if process else []),
            )
            assert stage.jobs
            assert stage.custody is not None
            stage.administer(*made_anew(KEY))
            before = everything(stage)
            (report,) = stage.run()
            assert everything(stage) == before
            if process:
                assert report.failed is not None
                assert "crm.other: rows would also be deleted by the foreign key other_fk" in report.failed.message
            else:
                assert report.guard == "blind-role"
    finally:
        with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
            connection.exec_driver_sql(f"DROP USER {ours}")


@pytest.mark.mariadb
def test_mariadb_a_key_that_comes_while_our_transaction_is_open(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(new_database, tmp_path, "mariadb", "delete") as stage:
        add = f"ALTER TABLE other ADD {KEY.removeprefix(', ')}"
        before = everything(stage)
        with Interrupted(monkeypatch, "locked", lambda: stage.administer("SET foreign_key_checks = 0", add)) as seen:
            assert "foreign key other_fk (ON DELETE CASCADE)" in failed(stage.run())
        assert seen.times == 1
        assert everything(stage) == before


@pytest.mark.mariadb
def test_mariadb_keys_of_another_database_and_of_odd_names(new_database: NewDatabase, tmp_path: Path) -> None:
    url, beside = new_database("mariadb"), sa.make_url(new_database("mariadb")).database
    odd = policy("delete").replace("table: contract", "table: 'cön tract-1'")
    with Stage(tmp_path, {"crm": url}, odd.replace("table: customer", "table: 'Customer @'")) as stage:
        known = "CONSTRAINT known FOREIGN KEY (customer_id) REFERENCES `Customer @` (id) ON DELETE CASCADE"
        stage.administer(
            "CREATE TABLE `Customer @` (id INTEGER PRIMARY KEY, left_at TIMESTAMP NULL)",
            f"CREATE TABLE `cön tract-1` (id INTEGER PRIMARY KEY, customer_id INTEGER, {known})",
            *inserts("`Customer @`", [{"id": 1, "left_at": LONG_AGO}, {"id": 2, "left_at": LONG_AGO}]),
            *inserts("`cön tract-1`", [{"id": 1, "customer_id": 1}]),
        )
        (report,) = stage.run()
        assert (report.failed, report.done) == (None, 2)
        database = sa.make_url(url).database
        stage.administer(
            f"CREATE TABLE {beside}.`a-b` (id INTEGER, c INTEGER, CONSTRAINT far FOREIGN KEY (c)"
            f" REFERENCES {database}.`Customer @` (id) ON DELETE SET NULL)",
            *inserts("`Customer @`", [{"id": 3, "left_at": LONG_AGO}]),
        )
        message = failed(stage.run())
        assert f"crm.{beside}.a-b: rows would also be updated by the foreign key far (ON DELETE SET NULL)" in message
        stage.administer(f"DROP TABLE {beside}.`a-b`")


@pytest.mark.mariadb
def test_mariadb_a_log_that_cannot_roll_back_keeps_its_copy(new_database: NewDatabase, tmp_path: Path) -> None:
    with staged(new_database, tmp_path, "mariadb", "delete") as stage:
        copies = trigger("mariadb", "customer", "DELETE", "INSERT INTO kept VALUES (OLD.email)")
        stage.administer("CREATE TABLE kept (note VARCHAR(80)) ENGINE=Aria", *copies)
        assert "crm: 5 rows would also be inserted, perhaps crm.kept (by the trigger meddles" in failed(stage.run())
        assert len(stage.ids("customer")) == 7
        assert len(stage.rows("SELECT * FROM kept")) == 5  # the engine's own doing: nobody can take it back


SHADOWS = {
    "full text": [
        "CREATE VIRTUAL TABLE found USING fts5 (email, content='customer', content_rowid='id')",
        "INSERT INTO found (found) VALUES ('rebuild')",
        (
            "CREATE TRIGGER meddles AFTER DELETE ON customer BEGIN"
            " INSERT INTO found (found, rowid, email) VALUES ('delete', OLD.id, OLD.email); END"
        ),
    ],
    "r-tree": [
        "CREATE VIRTUAL TABLE found USING rtree (id, low, high)",
        "INSERT INTO found SELECT id, 1, 2 FROM customer",
        "CREATE TRIGGER meddles AFTER DELETE ON customer BEGIN DELETE FROM found WHERE id = OLD.id; END",
    ],
    "replacing": [
        "CREATE TABLE found (id INTEGER PRIMARY KEY, email TEXT)",
        "INSERT INTO found SELECT id, email FROM customer",
        "CREATE TRIGGER meddles AFTER DELETE ON customer BEGIN REPLACE INTO found VALUES (OLD.id, 'x'); END",
    ],
    "through a view": [
        "CREATE VIEW found AS SELECT * FROM third",
        "CREATE TRIGGER through INSTEAD OF DELETE ON found BEGIN DELETE FROM third WHERE id = OLD.id; END",
        "CREATE TRIGGER meddles AFTER DELETE ON customer BEGIN DELETE FROM found WHERE id = 100; END",
    ],
}


@pytest.mark.parametrize("kind", list(SHADOWS))
def test_sqlite_counts_what_hides_behind_virtual_tables_and_views(
    kind: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    with staged(new_database, tmp_path, "sqlite", "delete") as stage:
        stage.administer(*SHADOWS[kind])
        before = everything(stage)
        message = failed(stage.run())
        assert everything(stage) == before
        assert ("crm.third" if kind == "through a view" else "crm.found") in message
        assert "trigger" in message


@pytest.mark.postgresql
def test_a_server_that_does_not_count_is_refused(new_database: NewDatabase, tmp_path: Path) -> None:
    with staged(new_database, tmp_path, "postgresql", "delete") as stage:
        name = sa.make_url(stage.urls["crm"]).database
        stage.administer(f"ALTER DATABASE {name} SET track_counts = off")
        before = everything(stage)
        (report,) = stage.run()
        assert (report.guard, report.done) == ("track-counts", 0)
        assert everything(stage) == before


@pytest.mark.parametrize("engine", [on(engine) for engine in ENGINES])
def test_what_a_session_did_before_is_no_part_of_it(engine: str, new_database: NewDatabase, tmp_path: Path) -> None:
    """Counters go on over transactions, and count what was rolled back."""
    schema = "public." if engine == "postgresql" else ""
    expected, too_many = Expected(deleted={"crm.contract": 8}), Expected(deleted={"crm.contract": 10})
    with staged(new_database, tmp_path, engine, "delete") as stage, open_transaction(stage) as (transaction, effects):

        def change() -> Baseline:
            transaction.execute("crm", sa.text(f"UPDATE {schema}log SET note = 'before'"))
            before = effects.begin(transaction, "crm")
            transaction.execute("crm", sa.text(f"DELETE FROM {schema}contract WHERE id > 15"))
            return before

        for _ in range(2):
            transaction.execute("crm", sa.text(f"DELETE FROM {schema}third"))
            transaction.rollback()
        before = change()
        assert effects.check(transaction, "crm", before, expected) == {"crm.contract": 8, "crm.customer": 0}
        with pytest.raises(FailedError, match="2 rows fewer were"):
            effects.check(transaction, "crm", before, too_many)
        before = change()
        transaction.execute("crm", sa.text(f"UPDATE {schema}log SET note = 'own'"))
        if engine != "postgresql":
            effects.check(transaction, "crm", before, expected, own_updates=1)
        with pytest.raises(FailedError, match="1 row would also be"):
            effects.check(transaction, "crm", before, expected)
        assert transaction.begun == {}


@pytest.mark.parametrize("table", ["customer", "contract"])
@pytest.mark.parametrize("engine", [on("sqlite"), on("postgresql")])
def test_what_stood_in_the_way_is_named(engine: str, table: str, new_database: NewDatabase, tmp_path: Path) -> None:
    refuses = {"sqlite": "SELECT RAISE(IGNORE)", "postgresql": "RETURN NULL"}
    with staged(new_database, tmp_path, engine, "delete") as stage:
        stage.administer(*trigger(engine, table, "DELETE", refuses[engine], timing="BEFORE", name="vetoes"))
        stage.administer(*trigger(engine, table, "UPDATE", refuses[engine], timing="BEFORE", name="elsewhere"))
        (report,) = stage.run()
        assert report.failed is not None
        assert (report.failed.code, report.done) == ("count-mismatch", 0)
        assert f"(the trigger vetoes of crm.{table} stands in the way)" in report.failed.message


@pytest.mark.postgresql
def test_a_rule_that_stood_in_the_way_is_named_too(new_database: NewDatabase, tmp_path: Path) -> None:
    with staged(new_database, tmp_path, "postgresql", "delete") as stage:
        stage.administer("CREATE RULE stay AS ON DELETE TO customer DO INSTEAD NOTHING")
        (report,) = stage.run()
        assert report.failed is not None
        assert "(the rule stay of crm.customer stands in the way)" in report.failed.message
