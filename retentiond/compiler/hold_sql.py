"""
What legal holds say of a row, as SQL over one alias of its table: never unknown, so that its negation is not either.

Many values go as one array or JSON parameter where the engine has it, so that ten thousand held persons are no longer
a statement than ten.
"""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.postgresql import ARRAY

from retentiond.catalog.model import Column, Family
from retentiond.compiler.constants_sql import Named
from retentiond.compiler.key_sets import Key, in_keys
from retentiond.compiler.plan import Ancestor, HoldHop, HoldTest, HoldTests, Relation
from retentiond.compiler.tables import table_of

_ARRAYS: dict[Family, type[sa.types.TypeEngine[Any]]] = {
    Family.INTEGER: sa.BigInteger,
    Family.DECIMAL: sa.Numeric,
    Family.FLOAT: sa.Double,
    Family.UUID: sa.Uuid,
    Family.BINARY: sa.LargeBinary,
    Family.DATE: sa.Date,
    Family.NAIVE: sa.DateTime,
}
_PLAIN_TEXT = ("text", "character varying", "varchar", "character", "bpchar", "name")


def held_by_holds(holds: HoldTests, relation: Relation, table: sa.FromClause) -> list[ColumnElement[bool]]:
    """Conditions of which one is true where a hold keeps the row, as far as its own source can tell."""
    return [sa.true()] if holds.every else tests_sql(holds.tests, relation, table)


def tests_sql(tests: Sequence[HoldTest], relation: Relation, table: sa.FromClause) -> list[ColumnElement[bool]]:
    """The tests, each true or false."""
    return [_test(test, relation, table) for test in tests]


def _test(test: HoldTest, relation: Relation, table: sa.FromClause) -> ColumnElement[bool]:
    if not test.hops:
        return equal_one_of(relation, test.columns, table, test.keys)
    aliases = [table_of(hop.far, f"holder_{number}") for number, hop in enumerate(test.hops, 1)]
    joined: sa.FromClause = aliases[0]
    for hop, near, far in zip(test.hops[1:], aliases, aliases[1:], strict=False):
        joined = joined.join(far, sa.and_(*_join(hop, near, far)))
    rows = sa.select(sa.literal(1)).select_from(joined)
    last = test.hops[-1].far
    reached = equal_one_of(last, test.columns, aliases[-1], test.keys)
    return rows.where(*_join(test.hops[0], table, aliases[0]), reached).correlate(table).exists()


def _join(hop: HoldHop, near: sa.FromClause, far: sa.FromClause) -> list[ColumnElement[bool]]:
    """The equalities that lead over a hop; the far side stands first, since SQLite compares as its column does."""
    pairs = zip(hop.far_columns, hop.near_columns, strict=True)
    return [far.c[theirs] == near.c[own] for theirs, own in pairs]


def held_statement(relation: Relation, holds: HoldTests, keys: Sequence[Key]) -> sa.Select[*tuple[Any, ...]]:
    """Of the rows of these keys: the key; 1 where a hold keeps the row that its source can tell; where climbs begin."""
    table = table_of(relation)
    held = sa.or_(sa.false(), *held_by_holds(holds, relation, table))
    key = [table.c[name] for name in relation.key]
    answer = [*key, sa.case((held, 1), else_=0), *(table.c[name] for name in holds.links)]
    return sa.select(*answer).select_from(table).where(in_keys(key, keys))


def climb_statement(ancestor: Ancestor, columns: tuple[str, ...], keys: Sequence[Key]) -> sa.Select[*tuple[Any, ...]]:
    """
    The rows of a table whose columns equal one of the keys. Columns of the answer, in order: those columns; 1 where the
    row is held by a test; per hop that leads on, its near columns.
    """
    table = table_of(ancestor.relation)
    held = sa.or_(sa.false(), *tests_sql(ancestor.tests, ancestor.relation, table))
    answer: list[ColumnElement[Any]] = [table.c[name] for name in columns]
    answer.append(sa.case((held, 1), else_=0))
    answer += [table.c[name] for hop in ancestor.hops for name in hop.near_columns]
    wanted = equal_one_of(ancestor.relation, columns, table, keys)
    return sa.select(*answer).select_from(table).where(wanted)


def equal_one_of(
    relation: Relation, columns: Sequence[str], table: sa.FromClause, keys: Sequence[Key]
) -> ColumnElement[bool]:
    """True where the columns equal one of the keys (of `spelled_keys`); false, never unknown, where they do not."""
    if not keys:
        return sa.false()
    known = [relation.column(name) for name in columns]
    targets = [table.c[name] for name in columns]
    present = [target.is_not(None) for target in targets]
    if relation.dialect == "postgresql":
        return sa.and_(*present, _postgresql(known, targets, keys))
    if relation.dialect == "sqlite":
        return sa.and_(*present, _sqlite(known, targets, keys))
    return sa.and_(*present, _mysql(known, targets, keys))


def _mysql(
    columns: Sequence[Column], targets: Sequence[ColumnElement[Any]], keys: Sequence[Key]
) -> ColumnElement[bool]:
    """Constants one by one: a JSON column of text would bring a collation of its own into the comparison."""
    sides = [
        _wide(column, target, [key[index] for key in keys])
        for index, (column, target) in enumerate(zip(columns, targets, strict=True))
    ]
    if len(sides) == 1:
        return sides[0].in_([key[0] for key in keys])
    return sa.tuple_(*sides).in_(list(keys))


def _wide(column: Column, target: ColumnElement[Any], values: Sequence[object]) -> ColumnElement[Any]:
    """The column so that all values can be compared with it: in a character set that knows their letters."""
    if column.family is Family.OTHER:
        return sa.cast(target, sa.CHAR)
    narrow = column.family is Family.TEXT and not (column.collation or "utf8mb4").startswith("utf8mb4")
    if narrow and not all(str(value).isascii() for value in values):
        return sa.cast(target, mysql.CHAR(charset="utf8mb4"))
    return target


def _postgresql(
    columns: Sequence[Column], targets: Sequence[ColumnElement[Any]], keys: Sequence[Key]
) -> ColumnElement[bool]:
    parts = [
        _array(column, target, [key[index] for key in keys])
        for index, (column, target) in enumerate(zip(columns, targets, strict=True))
    ]
    if len(parts) == 1:
        side, array = parts[0]
        return side == sa.func.any(array)
    names = [f"key_{index}" for index in range(len(parts))]
    rows = sa.func.unnest(*(array for _, array in parts)).table_valued(*names).render_derived()
    return sa.tuple_(*(side for side, _ in parts)).in_(sa.select(*(rows.c[name] for name in names)))


def _array(
    column: Column, target: ColumnElement[Any], values: Sequence[object]
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The column, and the values as an array of what it is compared as."""
    kind: sa.types.TypeEngine[Any] = sa.Text()
    if column.family is Family.INSTANT:
        kind = sa.DateTime(timezone=True)
    elif column.family in _ARRAYS:
        kind = _ARRAYS[column.family]()
    elif column.family is not Family.TEXT or column.choices:
        target = sa.cast(target, sa.Text)
        values = [str(value).lower() if column.family is Family.BOOLEAN else str(value) for value in values]
    array = sa.cast(sa.literal(list(values), ARRAY(kind)), ARRAY(kind))
    if column.family is Family.TEXT and not column.choices and column.type.partition("(")[0] not in _PLAIN_TEXT:
        array = sa.cast(array, ARRAY(Named(column.type)))  # citext and the like compare in a way of their own
    return target, array


def _sqlite(
    columns: Sequence[Column], targets: Sequence[ColumnElement[Any]], keys: Sequence[Key]
) -> ColumnElement[bool]:
    sides = [
        sa.func.hex(target) if column.family is Family.BINARY else target
        for column, target in zip(columns, targets, strict=True)
    ]
    if len(sides) == 1:
        rows = sa.func.json_each(json.dumps([_in_json(key[0]) for key in keys])).table_valued("value")
        return sides[0].in_(sa.select(rows.c.value))
    rows = sa.func.json_each(json.dumps([[_in_json(part) for part in key] for key in keys])).table_valued("value")
    parts = [sa.func.json_extract(rows.c.value, f"$[{index}]") for index in range(len(sides))]
    return sa.tuple_(*sides).in_(sa.select(*parts))


def _in_json(value: object) -> object:
    return value.hex().upper() if isinstance(value, bytes) else value
