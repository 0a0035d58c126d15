"""The state store on a real file: made once, upgraded by who writes, true after a crash."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, make_url

from retentiond.errors import EvidenceError, TransientError, UsageError
from retentiond.state import migrate, tables
from retentiond.state import store as store_module
from retentiond.state.owner import Owner, is_alive, this_process
from retentiond.state.sqlite import WRITES, writing_engine
from retentiond.state.store import Store, open_store
from retentiond.state.values import ChunkRecord, Counts, Failure, JobIdentity

NOW = datetime(2026, 11, 22, 1, 0, 0, tzinfo=UTC)
JOB = JobIdentity("sparkcentral", "contract-data", "crm", "customer", "customers", "delete")
OTHER = JobIdentity("blooom", "orders", "blooom-shop", "order", "orders", "anonymise")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'made/by us/state.db'}"


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def begin(store: Store, job: JobIdentity = JOB, now: datetime = NOW) -> str:
    return store.runs.begin(job, plan_digest="d1", as_of=now, now=now, requested_by="cron")


def chunk(store: Store, run: str, number: int, counts: dict[str, int], rows: int) -> None:
    with store.runs._writer.begin() as connection:
        store.runs.add_chunk(connection, ChunkRecord(run, number, NOW, rows, counts, 0.25, 1))


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


REVISIONS = [revision.revision for revision in script().walk_revisions()]


def test_a_reader_of_nothing_makes_nothing(url: str) -> None:
    with open_store(url, create=False) as store:
        assert not store.exists
        assert store.identity is None
        assert store.runs.latest() == []
        assert store.runs.last(*JOB.key) is None
        assert store.runs.counts(*JOB.key) is None
        with pytest.raises(UsageError, match="reading only"):
            begin(store)
    assert not file_of(url).parent.exists()


def test_an_empty_file_is_nothing_yet(url: str) -> None:
    file_of(url).parent.mkdir(parents=True)
    file_of(url).touch()
    with open_store(url, create=False) as store:
        assert not store.exists
    with open_store(url, create=True) as store:
        assert store.exists


def test_a_new_store_is_private_and_keeps_its_identity(url: str) -> None:
    old = os.umask(0)
    try:
        with open_store(url, create=True) as store:
            identity = store.identity
            begin(store)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file_of(url).parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == {
        **dict.fromkeys(("state.db", "state.db-wal", "state.db-shm"), 0o600),
        **dict.fromkeys(("state.db.locks", "keys"), 0o700),
    }
    assert stat.S_IMODE(file_of(url).parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(url).parent.parent.stat().st_mode) == 0o700
    for create in (True, False):
        with open_store(url, create=create) as store:
            assert store.identity == identity
            assert len(identity or "") == 36


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_store(f"sqlite:///{tmp_path}/state.db", create=True).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_every_connection_is_durable_and_checks_foreign_keys(url: str) -> None:
    open_store(url, create=True).close()
    engine = writing_engine(make_url(url))
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10000}


def test_a_writer_takes_the_lock_when_it_begins(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retentiond.state.sqlite.BUSY_SECONDS", 0.05)
    with open_store(url, create=True) as store, open_store(url, create=False) as reader:
        run = begin(store)
        engine = writing_engine(make_url(url))
        with engine.execution_options(**{WRITES: True}).begin():
            with pytest.raises(TransientError, match="SQLITE_BUSY"):
                store.runs.finish(run, "done", now=NOW)
            assert reader.runs.get(run).outcome == "running"  # readers wait for nobody
        engine.dispose()
        store.runs.finish(run, "done", now=NOW)
        assert reader.runs.get(run).outcome == "done"


def test_the_newest_revision_is_the_one_the_program_names() -> None:
    assert script().get_heads() == [migrate.HEAD]


@pytest.mark.parametrize("start", [None, *REVISIONS])
def test_upgrade_from_each_revision_gives_the_tables_of_the_program(url: str, start: str | None) -> None:
    file_of(url).parent.mkdir(parents=True)
    engine = writing_engine(make_url(url))
    if start is not None:
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            migrate.upgrade(connection, start)
    engine.dispose()
    open_store(url, create=True).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert migrate.revision(connection) == migrate.HEAD
        context = MigrationContext.configure(
            connection, opts={"version_table": migrate.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


def test_a_failed_upgrade_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = migrate.upgrade

    def break_off(connection: Connection) -> None:
        real(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "upgrade", break_off)
    with pytest.raises(KeyboardInterrupt):
        open_store(url, create=True)
    monkeypatch.undo()
    with sqlite3.connect(file_of(url)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    open_store(url, create=True).close()


def set_revision(url: str, revision: str) -> None:
    connection = sqlite3.connect(file_of(url))
    with connection:
        connection.execute(f"UPDATE {migrate.VERSION_TABLE} SET version_num = ?", [revision])
    connection.close()


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_schema_is_refused(url: str, create: bool) -> None:
    open_store(url, create=True).close()
    set_revision(url, "9999")
    with pytest.raises(UsageError, match="written by a newer retentiond"):
        open_store(url, create=create)


def test_a_reader_does_not_upgrade(url: str) -> None:
    open_store(url, create=True).close()
    set_revision(url, "0000")
    with pytest.raises(UsageError, match="the schema of an older retentiond"):
        open_store(url, create=False)


@pytest.mark.parametrize("create", [True, False])
def test_somebody_elses_database_is_refused(url: str, create: bool) -> None:
    file_of(url).parent.mkdir(parents=True)
    connection = sqlite3.connect(file_of(url))
    connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.close()
    with pytest.raises(UsageError, match="holds other tables"):
        open_store(url, create=create)


@pytest.mark.parametrize("create", [True, False])
def test_what_is_no_database_is_refused(url: str, create: bool) -> None:
    file_of(url).parent.mkdir(parents=True)
    file_of(url).write_bytes(b"no database at all, " * 100)
    with pytest.raises(UsageError, match="no SQLite database"):
        open_store(url, create=create)


@pytest.mark.parametrize("bad", ["sqlite://", "sqlite:///:memory:", "postgresql+psycopg://me:tiger@db/state"])
def test_what_cannot_hold_state_is_refused(bad: str) -> None:
    with pytest.raises(UsageError, match="not supported") as caught:
        open_store(bad, create=True)
    assert "tiger" not in str(caught.value)


OPEN = """
import sys, time
from retentiond.state.store import open_store
while time.time() < float(sys.argv[2]): pass
with open_store(sys.argv[1], create=True) as store:
    print(store.identity)
"""


def test_processes_that_start_at_once_make_one_store(url: str) -> None:
    start = str(datetime.now(UTC).timestamp() + 3)
    command = [sys.executable, "-c", OPEN, url, start]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, answers
    assert len({answer for answer, _ in answers}) == 1


def test_a_run_and_its_chunks_are_remembered(url: str) -> None:
    zone = timezone(timedelta(hours=2))
    with open_store(url, create=True) as store:
        run = begin(store, now=NOW.astimezone(zone))
        chunk(store, run, 1, {"crm.customers": 3, "crm.contracts": 5}, 2)  # one customer went with another
        chunk(store, run, 2, {"crm.customers": 4, "crm.invoices": 1}, 4)
        counts = Counts(due=6, held=1, total=50, oldest_due=NOW - timedelta(days=400), counted_at=NOW)
        store.runs.finish(run, "done", now=NOW + timedelta(seconds=2), counts=counts)
        record = store.runs.get(run)
        assert record == store.runs.last(*JOB.key)
        assert record.job == JOB
        assert (record.outcome, record.done, record.seconds, record.requested_by) == ("done", 6, 2.0, "cron")
        assert record.cascade == {"crm.customers": 1, "crm.contracts": 5, "crm.invoices": 1}
        assert record.started_at == NOW
        assert record.started_at.tzinfo is UTC
        assert record.counts == counts
        assert record.failed is None
        first, second = store.runs.chunks(run)
        assert (first.number, first.rows, first.tables) == (1, 2, {"crm.customers": 3, "crm.contracts": 5})
        assert (second.seconds, second.retries, second.committed_at) == (0.25, 1, NOW)
    with sqlite3.connect(file_of(url)) as connection:
        assert connection.execute("SELECT started_at FROM runs").fetchone() == ("2026-11-22T01:00:00.000000Z",)
    connection.close()


def test_the_same_chunk_twice_counts_once(url: str) -> None:
    with open_store(url, create=True) as store:
        run = begin(store)
        chunk(store, run, 1, {"crm.customers": 3}, 3)
        chunk(store, run, 1, {"crm.customers": 3}, 3)
        assert store.runs.get(run).done == 3
        with pytest.raises(EvidenceError, match="recorded already"):
            chunk(store, run, 1, {"crm.customers": 4}, 4)
        assert store.runs.get(run).done == 3


def test_an_unknown_run_is_refused(url: str) -> None:
    with open_store(url, create=True) as store:
        with pytest.raises(UsageError, match="no run"):
            store.runs.finish("none", "done", now=NOW)
        with pytest.raises(UsageError, match="no run"):
            chunk(store, "none", 1, {}, 0)


def test_a_time_without_a_zone_is_refused(url: str) -> None:
    with open_store(url, create=True) as store, pytest.raises(Exception, match="needs a time zone"):
        begin(store, now=NOW.replace(tzinfo=None))


def test_each_job_shows_its_last_run_and_its_last_good_one(url: str) -> None:
    with open_store(url, create=True) as store:
        good, other = begin(store), begin(store, OTHER)
        store.runs.finish(good, "done", now=NOW, counts=Counts(due=7, counted_at=NOW))
        bad = begin(store)
        store.runs.finish(bad, "failed", now=NOW, failed=Failure("23503", "crm.customers: fk_contract"))
        first, second = store.runs.latest()
        assert (first.job, first.last.id, first.last_success) == (OTHER, other, None)
        assert (second.last.id, second.last_success and second.last_success.id) == (bad, good)
        assert second.last.failed == Failure("23503", "crm.customers: fk_contract")
        assert store.runs.counts(*JOB.key) == Counts(due=7, counted_at=NOW)  # the failed run counted nothing


CRASH = """
import os, sys
from datetime import UTC, datetime
from retentiond.state.store import open_store
from retentiond.state.values import ChunkRecord, JobIdentity
now = datetime(2026, 11, 22, 1, tzinfo=UTC)
store = open_store(sys.argv[1], create=True)
job = JobIdentity("sparkcentral", "contract-data", "crm", "customer", "customers", "delete")
run = store.runs.begin(job, plan_digest="d1", as_of=now, now=now)
with store.runs._writer.begin() as connection:
    store.runs.add_chunk(connection, ChunkRecord(run, 1, now, 2, {"crm.customers": 2, "crm.contracts": 1}, 0.1, 0))
os.kill(os.getpid(), 9)
"""


def test_a_crash_shows_as_interrupted_and_what_was_done_stays(url: str) -> None:
    assert subprocess.run([sys.executable, "-c", CRASH, url], check=False).returncode == -9
    with open_store(url, create=False) as store:
        crashed = store.runs.last(*JOB.key)
        assert crashed is not None
        assert (crashed.outcome, crashed.finished_at) == ("interrupted", None)
        assert (crashed.done, crashed.cascade) == (2, {"crm.contracts": 1})
    with open_store(url, create=True) as store:
        later = NOW + timedelta(hours=1)
        begin(store, now=later)
        assert (store.runs.get(crashed.id).outcome, store.runs.get(crashed.id).finished_at) == ("interrupted", later)


def test_a_run_of_a_living_process_is_left_alone(url: str) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with open_store(url, create=True) as store:
            run = begin(store)
            connection = sqlite3.connect(file_of(url))
            owner = alive(sleeper.pid)
            with connection:
                connection.execute("UPDATE runs SET pid = ?, born = ?", [owner.pid, owner.born])
            connection.close()
            begin(store)
            assert store.runs.get(run).outcome == "running"
            sleeper.kill()
            assert_soon_dead(owner)  # a zombie: nobody has waited for it yet
            assert store.runs.get(run).outcome == "interrupted"
    finally:
        sleeper.kill()
        sleeper.communicate()


def alive(pid: int) -> Owner:
    from retentiond.state import owner

    return Owner(this_process().host, pid, owner._born(pid))


def assert_soon_dead(owner: Owner) -> None:
    import time

    deadline = time.monotonic() + 10
    while is_alive(owner):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_is_told_from_another_with_its_number() -> None:
    me = this_process()
    assert is_alive(me) is True
    assert is_alive(Owner(me.host, me.pid, "an earlier boot/1")) is False
    assert is_alive(Owner("elsewhere", me.pid, me.born)) is None


def test_a_run_is_found_by_the_beginning_of_its_id(url: str) -> None:
    with open_store(url, create=True) as store:
        runs = [begin(store, now=NOW + timedelta(seconds=number)) for number in range(12)]
        assert [found.id for found in store.runs.starting_with(runs[3])] == [runs[3]]
        assert runs[5] in {found.id for found in store.runs.starting_with(runs[5][:6])}
        assert [found.id for found in store.runs.starting_with("")] == runs[:1:-1]
        assert store.runs.starting_with("%") == store.runs.starting_with("_") == []
