"""The tools of the suite do what they say: a fault that does not happen would prove whatever one likes."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests import servers
from tests.databases import create
from tests.fault.arena import Arena, plain_url
from tests.fault.cluster import Cluster
from tests.fault.orders import Fault, Order
from tests.fault.relay import Relay, Trouble
from tests.fault.victims import ROOT, Nursery
from tests.fault.wire import MariadbReader, PostgresqlReader

Arenas = Callable[..., Arena]
SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


def test_a_victim_ends_at_the_point_it_was_told_and_not_before(arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas("sqlite")
    arena.add_due()
    victim = nursery.start(arena.folder, arena.run, faults=[Fault("kill", "commit.before", 2)])
    assert victim.wait() == -signal.SIGKILL
    assert victim.fired()
    names = [name for name, _ in victim.steps()]
    assert names[-1] == "commit.before"
    assert names.count("commit.before") == 2


def test_a_victim_freezes_and_is_woken(arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas("sqlite")
    arena.add_due()
    victim = nursery.start(arena.folder, arena.run, faults=[Fault("stop", "change.before", 1)])
    assert victim.wait_frozen()
    assert not victim.over
    victim.signal(signal.SIGCONT)
    assert victim.wait() == 0, victim.story()


def test_a_victim_without_faults_is_a_run_like_any_other(arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas("sqlite")
    arena.add_due(3, 3, 3)
    victim = nursery.start(arena.folder, arena.run)
    assert victim.wait() == 0, victim.story()
    arena.add_due(2, 2, 2)
    order = Order(arena.folder, [arena.run], [Fault("kill", "commit.after", 1)])
    own = subprocess.run([sys.executable, "-m", "tests.fault.victim", order.as_line()], cwd=ROOT, check=False)
    assert own.returncode == -signal.SIGKILL
    assert order.fired(0).exists()


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize(
    ("what", "name"),
    [("sync:IOERR_FSYNC:state.db:1", "SQLITE_IOERR_FSYNC"), ("write:FULL:state.db:1000", "SQLITE_FULL")],
)
def test_sqlite_is_told_that_its_disk_fails(journal: str, what: str, name: str, tmp_path: Path) -> None:
    program = (
        "import sqlite3, sys\nfrom pathlib import Path\nfrom tests.fault import disk\n"
        "disk.install()\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute(f'PRAGMA journal_mode = {sys.argv[2]}')\n"
        "connection.execute('PRAGMA synchronous = FULL')\n"
        "connection.execute('CREATE TABLE t (a)')\n"
        "disk.fail(sys.argv[3], Path(sys.argv[1] + '.fired'))\n"
        "try:\n"
        "    connection.executescript('BEGIN; INSERT INTO t VALUES (1); COMMIT')\n"
        "except sqlite3.Error as error:\n"
        "    sys.stdout.write(error.sqlite_errorname)\n"
    )
    file = tmp_path / "state.db"
    command = [sys.executable, "-c", program, str(file), journal, what]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == name
    assert Path(f"{file}.fired").exists()
    connection = sqlite3.connect(file)
    # What was written to a write-ahead log is there again for whoever opens it next, though its fsync failed: the
    # program was told of an error, and the transaction stands. Whoever takes such an error for a no is wrong.
    stands = (journal, name) == ("wal", "SQLITE_IOERR_FSYNC")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (int(stands),)
    connection.close()


def test_a_limit_on_the_size_of_files_is_an_error_and_no_signal(arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas("sqlite")
    arena.add_due()
    victim = nursery.start(arena.folder, arena.run, faults=[Fault("limit", "change.after", 2, seconds=100)])
    assert victim.wait() > 0, victim.story()
    assert victim.fired()


def test_the_readers_find_statements_however_the_bytes_come() -> None:
    query = b"Q" + (4 + 7).to_bytes(4, "big") + b"COMMIT\0"
    parse = b"P" + (4 + 9).to_bytes(4, "big") + b"\0SELECT \0"
    begin = (8).to_bytes(4, "big") + b"\0\3\0\0"
    packet = (7).to_bytes(3, "little") + b"\0\3COMMIT"
    for size in (1, 3, 100):
        data = begin + parse + query
        postgresql = PostgresqlReader()
        found = [one for at in range(0, len(data), size) for one in postgresql.feed(data[at : at + size])]
        assert [text for _, text in found] == ["", "SELECT ", "COMMIT"]
        assert b"".join(message for message, _ in found) == data
        mariadb = MariadbReader()
        found = [one for at in range(0, 11, size) for one in mariadb.feed(packet[at : at + size])]
        assert found == [(packet, "COMMIT")]


@pytest.mark.parametrize("engine", SERVERS)
@pytest.mark.parametrize(
    ("trouble", "committed"),
    [("cut-before", False), ("cut-after", True), ("swallow", True), ("stall", True), ("hole", False)],
)
def test_the_relay_makes_its_trouble_and_counts_it(
    engine: str, trouble: Trouble, committed: bool, new_database: Callable[[str], str]
) -> None:
    url = plain_url(new_database(engine))
    direct = sa.create_engine(url, poolclass=sa.NullPool)
    with direct.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
    with Relay(url) as relay:
        engine_by_relay = sa.create_engine(relay.url, poolclass=sa.NullPool)
        relay.arm(trouble, 2)
        with engine_by_relay.begin() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        answers: list[str] = []

        def insert() -> None:
            try:
                with engine_by_relay.begin() as connection:
                    connection.exec_driver_sql("INSERT INTO t VALUES (2)")
                answers.append("committed")
            except sa.exc.DBAPIError:
                answers.append("lost")

        thread = threading.Thread(target=insert)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() == (trouble in ("stall", "hole"))
        relay.release()
        if trouble == "hole":
            relay.cut()
        thread.join(10)
        assert answers == ["committed" if trouble == "stall" else "lost"]
        assert relay.happened[trouble] == 1
        time.sleep(0.2)
    with direct.begin() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM t WHERE a = 2").scalar_one()
    assert found == int(committed)


@pytest.mark.parametrize("engine", SERVERS)
def test_a_killed_server_keeps_what_it_confirmed(engine: servers.Kind) -> None:
    try:
        servers.binaries(engine)
    except servers.ServerMissingError as missing:
        pytest.skip(str(missing))
    with Cluster(engine) as cluster:
        there = sa.create_engine(create(cluster.address, "own"), poolclass=sa.NullPool)
        with there.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
        for number in range(3):
            with there.begin() as connection:
                connection.exec_driver_sql(f"INSERT INTO t VALUES ({number})")
            cluster.kill()
            with pytest.raises(sa.exc.DBAPIError):
                there.connect()
            cluster.start()
        with there.begin() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 3
