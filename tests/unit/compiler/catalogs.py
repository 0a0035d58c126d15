"""Schemas made by hand: what a catalog of a live database would say, in a line per table."""

from __future__ import annotations

from dataclasses import replace

from retentiond.catalog.model import Catalog, Column, Dialect, Family, ForeignKey, Index, Table, incoming_keys

TYPES: dict[str, Family] = {
    "integer": Family.INTEGER,
    "numeric": Family.DECIMAL,
    "real": Family.FLOAT,
    "text": Family.TEXT,
    "boolean": Family.BOOLEAN,
    "date": Family.DATE,
    "timestamp": Family.NAIVE,
    "timestamptz": Family.INSTANT,
    "uuid": Family.UUID,
    "json": Family.JSON,
    "bytea": Family.BINARY,
    "interval": Family.OTHER,
}


def column(said: str) -> Column:
    """`name type [not null] [generated] [on update]`; `text(10)` has a length."""
    name, kind, *rest = said.split()
    words = " ".join(rest)
    base, _, length = kind.rstrip(")").partition("(")
    return Column(
        name,
        kind,
        TYPES[base],
        nullable="not null" not in words,
        length=int(length) if length else None,
        generated="generated" in words,
        on_update="on update" in words,
    )


def table(
    name: str,
    columns: str,
    *,
    key: tuple[str, ...] = ("id",),
    refers: tuple[str, ...] = (),
    unique: tuple[str, ...] = (),
    **more: object,
) -> Table:
    """A table; `refers` holds `column > table.column [ACTION]`."""
    found = tuple(column(said) for said in columns.split(", "))
    columns_of_key = tuple(replace(one, nullable=False) if one.name in key else one for one in found)
    indexes = tuple(Index(f"{name}_{one}_key", (one,), unique=True) for one in unique)
    made = Table(
        name, "table", columns_of_key, key, tuple(_foreign_key(name, said) for said in refers), indexes=indexes
    )
    return replace(made, **more)  # type: ignore[arg-type]


def _foreign_key(name: str, said: str) -> ForeignKey:
    own, _, target, *action = said.split(" ", 3)
    far, far_column = target.split(".")
    return ForeignKey(f"{name}_{own}_fkey", name, (own,), far, (far_column,), " ".join(action) or "NO ACTION")


def catalog(source: str, *tables: Table, dialect: Dialect = "mariadb") -> Catalog:
    by_name = {one.name: one for one in tables}
    return Catalog(source, dialect, (10, 11), by_name, incoming_keys(by_name))
