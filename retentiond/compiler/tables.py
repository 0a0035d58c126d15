"""Relations as SQLAlchemy tables: names quoted and schema-qualified, columns typed by their family where it matters."""

from typing import Any

import sqlalchemy as sa

from retentiond.catalog.model import Column, Family
from retentiond.compiler.plan import Relation

_TYPES: dict[Family, type[sa.types.TypeEngine[Any]]] = {
    Family.INTEGER: sa.BigInteger,
    Family.BOOLEAN: sa.Boolean,
    Family.TEXT: sa.Text,
    Family.TEXT_DATE: sa.Text,
    Family.TEXT_DATETIME: sa.Text,
}


class _AsItComes(sa.types.UserDefinedType[Any]):
    """
    A type we know only by name – an enum, an array, macaddr, MariaDB's TIME. The driver sends what it handed over;
    PostgreSQL has no operator between it and a text, and SQLAlchemy would make a TIME a datetime.
    """

    cache_ok = True

    def coerce_compared_value(self, op: Any, value: Any) -> "_AsItComes":  # noqa: ARG002 - SQLAlchemy's signature
        return self


def table_of(relation: Relation, alias: str | None = None) -> sa.FromClause:
    """The relation as a table, or as an alias of it. Values come back as the driver hands them over."""
    schema, _, name = relation.name.rpartition(".") if relation.dialect == "postgresql" else ("", "", relation.name)
    columns = [sa.column(column.name, _type(column, relation)) for column in relation.columns]
    table = sa.table(name, *columns, schema=schema or None)
    return table.alias(alias) if alias else table


def _type(column: Column, relation: Relation) -> sa.types.TypeEngine[Any]:
    """The type that constants compared with the column are bound as; neutral where the driver knows better."""
    named = column.choices or column.family is Family.INET
    if column.family is Family.OTHER or (named and relation.dialect == "postgresql"):
        return _AsItComes()
    if column.family is Family.BOOLEAN and relation.dialect != "postgresql":
        return sa.Integer()
    if column.family in _TYPES:
        return _TYPES[column.family]()
    if column.family is Family.DATE:
        return sa.Date()
    if column.family in (Family.NAIVE, Family.INSTANT):
        return sa.DateTime(timezone=column.family is Family.INSTANT and relation.dialect == "postgresql")
    return sa.types.NULLTYPE
