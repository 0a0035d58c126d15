"""One sample database: its schema and the rows drawn for it, and how both become a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

Value = str | int | float | None
Row = tuple[Value, ...]


class Database:
    """Rows in the order of their tables' columns, parents before children."""

    def __init__(self, schema: str) -> None:
        self.schema = schema
        self.size = 0
        self._tables: dict[str, list[Row]] = {}

    @property
    def tables(self) -> Mapping[str, list[Row]]:
        """The rows by table, tables in the order in which they first got one."""
        return self._tables

    def put(self, table: str, *values: Value) -> None:
        """Add a row as it is."""
        self._tables.setdefault(table, []).append(values)
        self.size += 1

    def add(self, table: str, *values: Value) -> int:
        """Add a row under the table's next number, which stands first in it; returns that number."""
        number = len(self._tables.get(table, ())) + 1
        self.put(table, number, *values)
        return number

    def write(self, path: Path) -> None:
        """Make the file, which must not exist yet: schema and rows in one transaction, every foreign key checked."""
        path.touch(mode=0o600, exist_ok=False)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # a torn demo is made again
            connection.executescript(f"BEGIN;\n{self.schema}")
            for table, rows in self._tables.items():
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own names
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
            assert not broken, f"{path.name}: rows without their parent in {sorted({row[0] for row in broken})}"
            connection.execute("COMMIT")
