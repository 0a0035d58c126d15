"""What fails for a while – deadlocks, locks, lost connections – is tried again, with a limit; nothing twice or half."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from retentiond.compiler.statements import page_statement
from retentiond.engine import change, chunk, gate, pages, retry
from retentiond.engine.report import JobReport
from tests.database.stage import LONG_AGO, Interrupted, Point, Stage, another_session, inserts, session_number

SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]
ENGINES = [pytest.param("sqlite"), *SERVERS]
NewDatabase = Callable[[str], str]

POLICY = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers, cascade: [orders]}
  visit: {source: crm, table: visits}
rules:
  - {name: old, record: customer, clause: "1", keep: 10 years after closed_at, then: delete}
  - {name: visits, record: visit, clause: "2", keep: 10 years after seen_at, then: delete}
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.001)


@contextmanager
def staged(url: str, folder: Path, **more: Any) -> Iterator[Stage]:
    """20 customers with two orders each, and 3 visits, all due; chunks of 5."""
    with Stage(folder, {"crm": url}, POLICY, **({"chunk_rows": 5} | more)) as stage:
        stage.administer(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, closed_at TIMESTAMP NULL)",
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id))",
            "CREATE INDEX by_customer ON orders (customer_id)",
            "CREATE TABLE visits (id INTEGER PRIMARY KEY, seen_at TIMESTAMP NULL)",
            *inserts("customers", [{"id": number, "closed_at": LONG_AGO} for number in range(1, 21)]),
            *inserts("orders", [{"id": number, "customer_id": (number + 1) // 2} for number in range(1, 41)]),
            *inserts("visits", [{"id": number, "seen_at": LONG_AGO} for number in range(1, 4)]),
        )
        yield stage


def whole(stage: Stage, reports: list[JobReport]) -> None:
    """All went, each counted once, in every place where it is counted."""
    assert [report.failed for report in reports] == [None, None]
    assert [report.done for report in reports] == [20, 3]
    assert [report.due for report in reports] == [20, 3]
    assert reports[0].cascade == {"crm.orders": 40}
    assert stage.ids("customers") | stage.ids("orders") | stage.ids("visits") == set()
    run = stage.store.runs.last("shop", "old", "crm")
    assert run is not None
    assert (run.done, run.cascade) == (20, {"crm.orders": 40})
    assert [piece.rows for piece in stage.store.runs.chunks(run.id)] == [5, 5, 5, 5]


def killer(stage: Stage, which: str) -> Callable[[], None]:
    """Ends sessions of retentiond on the server: `writing`, `reading` or `all` of them."""
    url = stage.urls["crm"]

    def kill() -> None:
        with another_session(url).connect() as connection:
            mine = session_number(connection)
            numbers = [number for number in SESSIONS[which](stage) if number != mine]
            assert numbers, "nobody to end"
            for number in numbers:
                end = "SELECT pg_terminate_backend({0})" if url.startswith("postgresql") else "KILL CONNECTION {0}"
                connection.exec_driver_sql(end.format(number))

    return kill


OPEN: dict[bool, list[int]] = {True: [], False: []}
SESSIONS: dict[str, Callable[[Stage], list[int]]] = {
    "writing": lambda _: OPEN[True],
    "reading": lambda _: OPEN[False],
    "all": lambda _: OPEN[True] + OPEN[False],
}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember the numbers of the sessions that a job has open; the dry look before it has some of its own."""
    from retentiond.engine.session import Session

    OPEN[True], OPEN[False] = [], []
    original = Session.connection

    def connection(self: Session, source: str, *, writes: bool) -> sa.Connection:
        known = (source, writes) in self._connections
        made = original(self, source, writes=writes)
        if not known and (self.apply or not OPEN[writes]):
            raw: Any = made.connection.dbapi_connection
            OPEN[writes] = [raw.info.backend_pid if hasattr(raw, "info") else raw.thread_id()]
        return made

    monkeypatch.setattr(Session, "connection", connection)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("engine", SERVERS)
@pytest.mark.parametrize(
    ("which", "point"),
    [("writing", "locked"), ("all", "gathered"), ("writing", "changed"), ("reading", "changed"), ("all", "looked")],
)
def test_a_connection_lost_in_a_chunk_is_made_anew(
    engine: str, which: str, point: Point, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(new_database(engine), tmp_path) as stage:
        kill, calls = killer(stage, which), [0]

        def second() -> None:
            calls[0] += 1
            if calls[0] == 2:
                kill()

        with Interrupted(monkeypatch, point, second):
            reports = stage.run()
        assert calls[0] >= 5
        whole(stage, reports)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("engine", SERVERS)
def test_a_connection_lost_between_two_chunks_is_made_anew(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(new_database(engine), tmp_path) as stage:
        kill, original, calls = killer(stage, "all"), page_statement, [0]

        def page(*arguments: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] == 3:
                kill()
            return original(*arguments, **named)

        monkeypatch.setattr(pages, "page_statement", page)
        whole(stage, stage.run())
        assert calls[0] >= 5


@pytest.mark.parametrize("engine", SERVERS)
def test_a_server_that_always_hangs_up_fails_the_job_and_no_other(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(new_database(engine), tmp_path) as stage:
        original, chunks = gate.commit, []

        def commit(transaction: Any, order: Any) -> None:
            chunks.append(stage.ids("customers"))
            if len(chunks) > 2 and "crm" in order and len(stage.ids("visits")) == 3:
                number = session_number_of(transaction.session.connection("crm", writes=True))
                with another_session(stage.urls["crm"]).connect() as connection:
                    end = "SELECT pg_terminate_backend({0})" if engine == "postgresql" else "KILL CONNECTION {0}"
                    connection.exec_driver_sql(end.format(number))
                if len(chunks) == 2 + retry.ATTEMPTS:
                    monkeypatch.setattr(gate, "commit", original)
            original(transaction, order)

        monkeypatch.setattr(gate, "commit", commit)
        customers, visits = stage.run()
        assert len(chunks) == 2 + retry.ATTEMPTS
        assert customers.failed is not None
        assert customers.failed.code in ("57P01", "2006", "2013", "1927", "0", "connection-lost")
        assert (customers.done, customers.set_aside) == (10, 0)
        assert len(stage.ids("customers")) == 10
        assert len(stage.ids("orders")) == 20
        assert (visits.failed, visits.done) == (None, 3)
        assert [(report.failed, report.done) for report in stage.run()] == [(None, 10), (None, 0)]


def session_number_of(connection: sa.Connection) -> int:
    raw: Any = connection.connection.dbapi_connection
    return int(raw.info.backend_pid if hasattr(raw, "info") else raw.thread_id())


@pytest.mark.parametrize("engine", SERVERS)
def test_a_deadlock_is_tried_again(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(new_database(engine), tmp_path, chunk_seconds=1) as stage:
        rival = another_session(stage.urls["crm"]).connect()
        if engine == "postgresql":
            rival.exec_driver_sql("SET deadlock_timeout = '20s'")  # so that it is we who see the circle
        else:  # so that ours is the lighter transaction
            values = ", ".join(f"({number}, '2026-01-01')" for number in range(1000, 3000))
            rival.exec_driver_sql(f"INSERT INTO visits VALUES {values}")
        rival.exec_driver_sql("UPDATE orders SET id = id WHERE id = 3")
        rival.exec_driver_sql("SELECT id FROM orders WHERE id = 3 FOR UPDATE")
        seen: list[str] = []
        original = chunk._once

        def once(workshop: Any, keys: Any) -> Any:
            try:
                return original(workshop, keys)
            except Exception as error:
                seen.append(getattr(error, "code", ""))
                raise

        monkeypatch.setattr(chunk, "_once", once)  # undone with the interruption below

        def cross() -> None:
            rival.exec_driver_sql("SELECT id FROM customers WHERE id = 2 FOR UPDATE")
            rival.rollback()

        thread = threading.Thread(target=cross)
        started: list[int] = []

        def after_lock() -> None:
            if not started:
                started.append(1)
                thread.start()

        with Interrupted(monkeypatch, "locked", after_lock):
            reports = stage.run()
        thread.join(20)
        rival.close()
        assert seen == [{"postgresql": "40P01", "mariadb": "1213"}[engine]]
        whole(stage, reports)


@pytest.mark.parametrize("engine", SERVERS)
@pytest.mark.parametrize("table", ["customers", "orders"])
def test_a_row_that_is_locked_for_long_is_set_aside_and_the_others_go(
    engine: str, table: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    with staged(new_database(engine), tmp_path, chunk_rows=2) as stage:
        with another_session(stage.urls["crm"]).connect() as rival:
            rival.exec_driver_sql(f"SELECT id FROM {table} WHERE id = 7 FOR UPDATE")
            customers, visits = stage.run()
            rival.rollback()
        blocked, orders = {"customers": (7, {13, 14}), "orders": (4, {7, 8})}[table]
        assert customers.failed is not None
        assert customers.failed.code == {"postgresql": "55P03", "mariadb": "1205"}[engine]
        assert "rows set aside: 1;" in customers.failed.message
        assert (customers.done, customers.set_aside, customers.due) == (19, 1, 20)
        assert (stage.ids("customers"), stage.ids("orders")) == ({blocked}, orders)
        assert (visits.failed, visits.done) == (None, 3)
        assert [(report.failed, report.done) for report in stage.run()] == [(None, 1), (None, 0)]


@pytest.mark.parametrize("engine", SERVERS)
def test_a_table_that_is_locked_as_a_whole_stops_the_job_soon(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retentiond.engine import job_run

    monkeypatch.setattr(job_run, "_MOST_LOCKED", 2)
    with staged(new_database(engine), tmp_path, chunk_rows=2) as stage:
        with another_session(stage.urls["crm"]).connect() as rival:
            rival.exec_driver_sql("SELECT id FROM customers FOR UPDATE")
            customers, visits = stage.run()
            rival.rollback()
        assert customers.failed is not None
        assert "2 rows were set aside, then the job" in customers.failed.message
        assert (customers.done, len(stage.ids("customers")), len(stage.ids("orders"))) == (0, 20, 40)
        assert (visits.failed, visits.done) == (None, 3)


@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_a_reader_of_the_sqlite_file_delays_the_commit_and_breaks_nothing(
    long: bool, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retentiond.engine.sources.Sources.writing", _hasty(monkeypatch))
    with staged(new_database("sqlite"), tmp_path) as stage:
        reader = another_session(stage.urls["crm"]).connect()
        calls = [0]

        def read() -> None:
            calls[0] += 1
            if calls[0] == 2:
                reader.exec_driver_sql("BEGIN")
                reader.exec_driver_sql("SELECT count(*) FROM customers").all()
            if calls[0] == 3 and not long:
                reader.exec_driver_sql("COMMIT")

        with Interrupted(monkeypatch, "changed", read):
            reports = stage.run()
        if long:
            assert reports[0].failed is not None
            assert reports[0].failed.code == "SQLITE_BUSY"
            assert (reports[0].done, len(stage.ids("customers")), len(stage.ids("orders"))) == (5, 15, 30)
            reader.exec_driver_sql("COMMIT")
            assert [(report.failed, report.done) for report in stage.run()] == [(None, 15), (None, 3)]
        else:
            whole(stage, reports)
        reader.close()


def _hasty(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Engines that wait for a lock for a tenth of a second."""
    from retentiond.catalog.connections import open_engine
    from retentiond.engine.sources import Sources

    def writing(self: Sources, name: str) -> sa.Engine:
        url = self._settings.source(name).connection_url()
        return open_engine(url, read_only=False, statement_seconds=30, lock_seconds=0.1)

    return writing


@pytest.mark.parametrize("engine", ENGINES)
def test_the_sessions_of_a_run_have_their_time_outs(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = {
        "postgresql": "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),"
        " current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_isolation'),"
        " current_setting('TimeZone'), current_setting('transaction_read_only')",
        "mariadb": "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@max_statement_time,"
        " @@idle_transaction_timeout, @@tx_isolation, @@time_zone, @@tx_read_only",
        "sqlite": "PRAGMA busy_timeout",
    }
    expected: dict[str, tuple[list[Any], list[Any]]] = {
        "postgresql": (
            ["1s", "30s", "1min", "read committed", "UTC", "off"],
            ["10s", "0", "15min", "read committed", "UTC", "on"],
        ),
        "mariadb": ([1, 1, 30, 60, "READ-COMMITTED", "+00:00", 0], [10, 10, 0, 900, "READ-COMMITTED", "+00:00", 1]),
        "sqlite": ([1000], [10000]),
    }
    with staged(new_database(engine), tmp_path) as stage:
        found: list[tuple[list[Any], list[Any]]] = []
        original = change.look_again

        def look(job: Any, at: Any, transaction: Any, *others: Any) -> None:
            if not found:
                query = sa.text(queries[engine])
                found.append(
                    (list(transaction.fetch("crm", query)[0]), list(transaction.session.read("crm", query)[0]))
                )
            original(job, at, transaction, *others)

        monkeypatch.setattr(change, "look_again", look)
        whole(stage, stage.run())
    assert found == [expected[engine]]
