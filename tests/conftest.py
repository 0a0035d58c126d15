"""Fixtures for every test: a fresh, empty database on each of the three engines."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests import servers
from tests.databases import create, drop

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

FOLDER_MARKS = ("unit", "database", "acceptance", "fault")

# A database on a busy machine takes what it takes; in CI the examples are the same each time.
hypothesis_settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("ci", hypothesis_settings.get_profile("here"), derandomize=True, print_blob=True)
hypothesis_settings.load_profile("ci" if IN_CI else "here")

_run_key = pytest.StashKey[servers.Run]()
_root_key = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run, or, in a worker of pytest-xdist, join the run of the controller."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_root_key] = Path(worker["servers_root"])
        return
    run = servers.Run()
    config.stash[_run_key] = run
    config.stash[_root_key] = run.root


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a new worker where the servers of this run are."""
    node.workerinput["servers_root"] = str(node.config.stash[_root_key])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run; its servers stop. A connection somebody left open is closed while there is a server to hear it."""
    gc.collect()
    run = config.stash.get(_run_key, None)
    if run is not None:
        run.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the fault suite's long part (`make test-fault`), see docs/decisions/0009-fault-suite.md."""
    group = parser.getgroup("fault suite")
    group.addoption("--long", action="store_true", help="run the tests marked `long` too")
    group.addoption("--kills", type=int, default=300, help="how many random kills, over the three engines")
    group.addoption("--holds", type=int, default=1000, help="how many holds race with runs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test by the folder it is in; leave the long ones out unless they were asked for."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if folder in FOLDER_MARKS:
            item.add_marker(folder)
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def server_address(request: pytest.FixtureRequest) -> Callable[[servers.Kind], servers.Address]:
    """Where a server of that kind listens. A missing server skips the test, and fails it where CI is set."""
    root = request.config.stash[_root_key]

    def find(kind: servers.Kind) -> servers.Address:
        try:
            return servers.address(root, kind)
        except servers.ServerMissingError as missing:
            if IN_CI:
                pytest.fail(f"{missing} (CI is set: without this server a green run proves nothing)", pytrace=False)
            pytest.skip(str(missing))

    return find


@pytest.fixture
def new_database(
    server_address: Callable[[servers.Kind], servers.Address], tmp_path: Path
) -> Iterator[Callable[[str], str]]:
    """Make an empty database on `sqlite`, `postgresql` or `mariadb`; returns its SQLAlchemy URL. As often as wanted.

    Dropped after the test. A connection that the test left open is closed first, and reported as the leak it is.
    """
    made: list[tuple[servers.Address, str]] = []

    def make(engine: str) -> str:
        name = f"t_{uuid.uuid4().hex[:16]}"
        if engine == "sqlite":
            return f"sqlite:///{tmp_path / name}.db"
        where = server_address("postgresql" if engine == "postgresql" else "mariadb")
        url = create(where, name)
        made.append((where, name))
        return url

    yield make
    for where, name in made:
        drop(where, name)


@pytest.fixture
def sqlite_url(new_database: Callable[[str], str]) -> str:
    """URL of an empty SQLite database in the test's own folder."""
    return new_database("sqlite")


@pytest.fixture
def postgresql_url(new_database: Callable[[str], str]) -> str:
    """URL of an empty PostgreSQL database (UTF8, C.UTF-8), dropped after the test."""
    return new_database("postgresql")


@pytest.fixture
def mariadb_url(new_database: Callable[[str], str]) -> str:
    """URL of an empty MariaDB database (utf8mb4), dropped after the test."""
    return new_database("mariadb")


@pytest.fixture(
    params=[
        pytest.param("sqlite", id="sqlite"),
        pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", id="mariadb", marks=pytest.mark.mariadb),
    ]
)
def engine_url(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    """URL of an empty database on each of the three engines in turn."""
    return new_database(request.param)
