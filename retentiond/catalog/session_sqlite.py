"""
How a session on SQLite is set up: an existing file, real transactions, foreign keys on.

Left as the file's own application has them: `recursive_triggers` (foreign key actions cascade without it, and a trigger
that touches its own table would start to loop) and `trusted_schema` (off, triggers that feed a full-text index fail).
"""

import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from retentiond.catalog.limits import Limits
from retentiond.errors import UsageError
from retentiond.policy.clock_state import clock_order, clock_state

# SQLite's own lower() and upper() know ASCII only. They must not be replaced, though: an index, CHECK or generated
# column made with the built-in ones would be broken by our first write ("database disk image is malformed", measured).
LOWER = "retentiond_lower"
UPPER = "retentiond_upper"

_OPCODES_BETWEEN_LOOKS = 20_000


class _Deadline:
    """When the statement at work must be over; asked by SQLite while it works."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._ends: float | None = None

    def start(self) -> None:
        if self._seconds is not None:
            self._ends = time.monotonic() + self._seconds

    def passed(self) -> bool:
        return self._ends is not None and time.monotonic() > self._ends


def engine(address: sa.URL, limits: Limits) -> sa.Engine:
    """An engine on that file. A transaction begins with BEGIN IMMEDIATE, where it only reads with BEGIN."""
    path = _path(address)
    made = sa.create_engine(address, creator=lambda: _connect(path, limits), poolclass=NullPool, hide_parameters=True)
    begin = "BEGIN" if limits.read_only else "BEGIN IMMEDIATE"
    event.listen(made, "connect", lambda connection, record: _prepare(connection, record, limits), insert=True)
    event.listen(made, "begin", lambda connection: connection.exec_driver_sql(begin))
    event.listen(made, "before_cursor_execute", lambda connection, *_: connection.info["deadline"].start())
    return made


def _path(address: sa.URL) -> Path:
    name = address.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise UsageError("a SQLite source is a file", hint="sqlite:////folder/name.db", code="bad-url")
    if address.query:
        raise UsageError("a SQLite URL takes no parameters here", hint="sqlite:////folder/name.db", code="bad-url")
    return Path(name).absolute()


def _connect(path: Path, limits: Limits) -> sqlite3.Connection:
    """A connection on a file that exists: a mistyped name must not become an empty database with nothing ever due."""
    if not path.is_file():
        raise UsageError(f"there is no SQLite database at {path}", hint="sources are never created", code="no-database")
    mode = "ro" if limits.read_only else "rw"
    # isolation_level None: else the driver itself decides where transactions begin, and reads lie outside of them.
    # check_same_thread: a watchdog may have to interrupt.
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, record: Any, limits: Limits) -> None:
    connection.execute(f"PRAGMA busy_timeout = {limits.lock_milliseconds}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA ignore_check_constraints = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    if limits.read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.execute("PRAGMA synchronous = FULL")
    if sys.version_info >= (3, 12):  # a mistyped "name" is an error then, not a text (m9)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DQS_DML, False)
    connection.create_function(LOWER, 1, _lower, deterministic=True)
    connection.create_function(UPPER, 1, _upper, deterministic=True)
    connection.create_function("retentiond_clock_state", 2, clock_state, deterministic=True)
    connection.create_function("retentiond_clock_order", 2, clock_order, deterministic=True)
    # One row with bytes that are no UTF-8 must not stop the others from being read.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    deadline = _Deadline(limits.statement)
    connection.set_progress_handler(deadline.passed, _OPCODES_BETWEEN_LOOKS)
    record.info["deadline"] = deadline


def _lower(value: object) -> str | None:
    text = _as_text(value)
    return None if text is None else text.lower()


def _upper(value: object) -> str | None:
    text = _as_text(value)
    return None if text is None else text.upper()


def _as_text(value: object) -> str | None:
    """The value as SQLite itself would read it as text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        text = format(value + 0.0, ".15g")
        mantissa, exponent, power = text.partition("e")
        return text if "." in mantissa or not mantissa.lstrip("-").isdigit() else f"{mantissa}.0{exponent}{power}"
    return str(value)
