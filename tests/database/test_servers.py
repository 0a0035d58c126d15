"""The fixtures themselves: each database is empty, real, its own, and gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, NullPool, create_engine, inspect, make_url, text

from tests import servers
from tests.databases import drop


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def test_round_trip(engine_url: str) -> None:
    with connected(engine_url) as connection:
        assert inspect(connection).get_table_names() == []
        connection.execute(text("CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL)"))
        connection.execute(text("INSERT INTO people VALUES (1, :name)"), {"name": "Zoë 🦊"})
    with connected(engine_url) as connection:
        assert connection.execute(text("SELECT name FROM people")).scalar_one() == "Zoë 🦊"


@pytest.mark.postgresql
@pytest.mark.mariadb
def test_urls_name_the_driver_that_is_meant(sqlite_url: str, postgresql_url: str, mariadb_url: str) -> None:
    names = [make_url(url).drivername for url in (sqlite_url, postgresql_url, mariadb_url)]
    assert names == ["sqlite", "postgresql+psycopg", "mysql+pymysql"]


@pytest.mark.postgresql
def test_postgresql_is_utf8_in_a_byte_order_locale(postgresql_url: str) -> None:
    asked = "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = current_database()"
    with connected(postgresql_url) as connection:
        assert tuple(connection.execute(text(asked)).one()) == ("UTF8", "C.UTF-8")


@pytest.mark.mariadb
def test_mariadb_is_mariadb_with_utf8mb4_and_transactions(mariadb_url: str) -> None:
    asked = "SELECT version(), @@character_set_database, @@default_storage_engine"
    with connected(mariadb_url) as connection:
        version, charset, engine = connection.execute(text(asked)).one()
    assert "MariaDB" in version
    assert (charset, engine) == ("utf8mb4", "InnoDB")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mariadb"])
def test_two_databases_of_one_test_are_two(engine: str, new_database: Callable[[str], str]) -> None:
    first, second = new_database(engine), new_database(engine)
    assert first != second
    with connected(first) as connection:
        connection.execute(text("CREATE TABLE only_here (id INTEGER PRIMARY KEY)"))
    with connected(second) as connection:
        assert inspect(connection).get_table_names() == []


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_database_goes_even_while_a_transaction_is_open_in_it(
    engine: str,
    new_database: Callable[[str], str],
    server_address: Callable[[servers.Kind], servers.Address],
) -> None:
    url = new_database(engine)
    name = make_url(url).database
    assert name is not None
    pool = create_engine(url, poolclass=NullPool)
    connection = pool.connect()
    connection.execute(text("CREATE TABLE busy (id INTEGER PRIMARY KEY)"))
    connection.execute(text("INSERT INTO busy VALUES (1)"))
    drop(server_address("postgresql" if engine == "postgresql" else "mariadb"), name)
    connection.invalidate()
    connection.close()
    pool.dispose()


OUTER = """
    import json, os, time
    from pathlib import Path

    def test_uses_both(postgresql_url, mariadb_url, request):
        root = next(request.config.stash[key] for key in [__import__("tests.conftest").conftest._root_key])
        found = {kind: json.loads((root / f"{kind}.json").read_text())["port"] for kind in ("postgresql", "mariadb")}
        Path(os.environ["SAID"]).write_text(json.dumps({"root": str(root), **found}))
        time.sleep(float(os.environ["LINGER"]))
"""


@pytest.mark.parametrize("ending", [None, signal.SIGINT, signal.SIGKILL], ids=["end", "ctrl-c", "killed"])
@pytest.mark.postgresql
@pytest.mark.mariadb
@pytest.mark.usefixtures("postgresql_url", "mariadb_url")  # skips, or fails, where a server is missing
def test_no_server_outlives_its_run(ending: signal.Signals | None, tmp_path: Path) -> None:
    project = Path(__file__).parents[2]
    (tmp_path / "test_outer.py").write_text(textwrap.dedent(OUTER))
    said = tmp_path / "said.json"
    environment = os.environ | {"SAID": str(said), "LINGER": "0" if ending is None else "60"}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-n", "1", "-c", str(project / "pyproject.toml")]
    with (tmp_path / "out.txt").open("wb") as out:
        run = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, "-p", "tests.conftest", str(tmp_path / "test_outer.py")],
            cwd=project,
            env=environment,
            stdout=out,
            stderr=out,
        )
        wait_for(lambda: (said.exists() and bool(said.read_text())) or run.poll() is not None, 90)
        assert said.exists(), (tmp_path / "out.txt").read_text()
        if ending is not None:
            run.send_signal(ending)
        run.wait(200)  # on a machine that is busy with other things
    found = json.loads(said.read_text())
    wait_for(lambda: not Path(found["root"]).exists(), 30)
    for kind in ("postgresql", "mariadb"):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", found[kind]), timeout=2)


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
