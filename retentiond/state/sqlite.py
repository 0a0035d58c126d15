"""The state store as a SQLite file: made for its owner alone, durable, and safe between processes."""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.pool import StaticPool

from retentiond.errors import TransientError, UsageError

BUSY_SECONDS = 10.0
LOCK_SECONDS = 60.0

# An execution option: this connection is about to write, so its transactions take the write lock when they begin.
# With SQLite's own way a transaction that reads first and writes then can lose what another wrote in between.
WRITES = "retentiond_writes"


def make_private(file: Path) -> None:
    """Make the file, 0600, and what is missing of its folders, 0700. What is there already stays as it is."""
    missing = [folder for folder in (file.parent, *file.parent.parents) if not folder.exists()]
    try:
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another process was faster
                folder.mkdir(mode=0o700)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise UsageError(
            f"the state store {file} cannot be made: {error.strerror}", hint="set [state] url", code="state-unwritable"
        ) from None


def check_access(file: Path, mode: int) -> None:
    """Raise a UsageError where this user may not do that with the file."""
    if not os.access(file, mode):
        raise UsageError(
            f"the state store {file} belongs to somebody else",
            hint="run this as the user that the daemon runs as",
            code="state-unreadable",
        )


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder alone while the store in it is made or upgraded; a killed process lets go of it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"another process is upgrading the state store in {folder} and does not finish",
                        code="state-locked",
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def writing_engine(url: URL) -> Engine:
    """An engine for reading and writing; wrap it with `execution_options` of WRITES to write."""
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
    _prepare(engine, ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"))
    return engine


def reading_engine(file: Path) -> Engine:
    """An engine that cannot write, on a file that is there."""
    address = f"{file.absolute().as_uri()}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool, hide_parameters=True)
    _prepare(engine, ("query_only=ON",))
    return engine


def empty_engine() -> Engine:
    """An engine on nothing: stands for a store that does not exist yet, so that readers need no second way."""
    engine = create_engine("sqlite://", poolclass=StaticPool, hide_parameters=True)
    _prepare(engine, ())
    return engine


def _prepare(engine: Engine, pragmas: tuple[str, ...]) -> None:
    """Set every new connection up, and begin transactions ourselves: the driver's own way would not before a SELECT."""

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begin)
