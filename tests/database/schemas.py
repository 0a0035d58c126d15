"""What the catalog's tests have in common: carrying out DDL, opening a source, and what a table's parts are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, NullPool, create_engine, make_url

from retentiond.catalog.connections import open_engine
from retentiond.catalog.model import Catalog, Column, Table
from retentiond.catalog.reflection import reflect


def carry_out(url: str, *statements: str) -> None:
    """Run the statements one by one, as an administrator would; a SQLite file is made."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    finally:
        engine.dispose()


@contextmanager
def source(url: str, *, read_only: bool = True, statement_seconds: float | None = 30) -> Iterator[Engine]:
    """The engine retentiond would use."""
    engine = open_engine(url, read_only=read_only, statement_seconds=statement_seconds, lock_seconds=1)
    try:
        yield engine
    finally:
        engine.dispose()


def catalog_of(url: str) -> Catalog:
    with source(url) as engine:
        return reflect(engine, "src")


def as_user(url: str, name: str) -> str:
    return make_url(url).set(username=name).render_as_string(hide_password=False)


def column_of(table: Table, name: str) -> Column:
    found = table.column(name)
    assert found is not None, f"{table.name} has no column {name}"
    return found
