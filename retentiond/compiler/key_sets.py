"""Sets of key values in statements: as row values, or as one array or JSON parameter where many are shipped."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.dialects.postgresql import ARRAY

from retentiond.catalog.model import Family
from retentiond.compiler.plan import Relation

Key = tuple[object, ...]


def in_keys(columns: Sequence[ColumnElement[Any]], keys: Sequence[Key]) -> ColumnElement[bool]:
    """True where the columns equal one of the keys."""
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return sa.tuple_(*columns).in_([tuple(key) for key in keys])


def is_one_of(relation: Relation, column: str, table: sa.FromClause, values: Sequence[object]) -> ColumnElement[bool]:
    """True where the column equals one of the values, sent as one array or JSON parameter where the engine has it."""
    family, target = relation.column(column).family, table.c[column]
    if relation.dialect == "postgresql":
        kind = sa.Uuid if family is Family.UUID else sa.BigInteger if isinstance(values[0], int) else sa.Text
        if kind is sa.Uuid:
            values = [uuid.UUID(str(value)) for value in values if _is_uuid(value)]
        return target == sa.func.any(sa.cast(sa.literal(list(values), ARRAY(kind)), ARRAY(kind)))
    if relation.dialect == "sqlite":
        shipped = sa.func.json_each(json.dumps(list(values))).table_valued("value")
        return target.in_(sa.select(shipped.c.value))
    if all(isinstance(value, int) for value in values):
        source = sa.text("JSON_TABLE(:shipped_keys, '$[*]' COLUMNS(k BIGINT PATH '$')) AS shipped").bindparams(
            sa.bindparam("shipped_keys", json.dumps(list(values)))
        )
        return target.in_(sa.select(sa.column("k")).select_from(source))
    # A JSON column of text would bring a collation of its own into the comparison; constants do not.
    return target.in_(list(values))


def _is_uuid(value: object) -> bool:
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return True
