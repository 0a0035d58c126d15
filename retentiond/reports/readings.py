"""What the clocks of single rows show, read from the tables where they stand, whatever source that is."""

import csv
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from retentiond.catalog.model import Column, Family
from retentiond.compiler.key_sets import Key, in_keys, is_one_of
from retentiond.compiler.plan import ClockRead, Hop, Relation
from retentiond.compiler.related_sql import join_condition
from retentiond.compiler.tables import table_of
from retentiond.engine.session import Session
from retentiond.engine.shipping import plain
from retentiond.errors import UsageError
from retentiond.policy.clocks import ClockType, ClockValue, clock_value, combine
from retentiond.policy.model import Record

_MANY = 500  # keys in one statement

Raw = tuple[object, ClockType]
Near = tuple[str, object]
"""A source, and the value of a column there that leads on."""


def clock_values(
    session: Session, clock: ClockRead, owner: Record, relation: Relation, keys: Sequence[Key]
) -> dict[Key, ClockValue]:
    """What the clock shows for each of these rows; `owner` is the record whose column it is."""
    raws = _local(session, clock, relation, keys) if clock.local else _across(session, clock, relation, keys)
    zone = ZoneInfo(clock.zone)
    return {
        key: combine([clock_value(raw, kind, owner, clock.column) for raw, kind in found], clock.term, zone)
        for key, found in raws.items()
    }


def _local(session: Session, clock: ClockRead, relation: Relation, keys: Sequence[Key]) -> dict[Key, list[Raw]]:
    """The raw values that one source holds all by itself."""
    near = table_of(relation)
    tables = [table_of(hop.far[0], f"far_{number}") for number, hop in enumerate(clock.hops)]
    joined: sa.FromClause = near
    for hop, left, right in zip(clock.hops, [near, *tables], tables, strict=False):
        joined = joined.join(right, join_condition(hop, left, right))
    columns = [near.c[name] for name in relation.key]
    found: dict[Key, list[Raw]] = {key: [] for key in keys}
    for piece in _pieces(keys):
        query = sa.select(*columns, (tables or [near])[-1].c[clock.column]).select_from(joined)
        for row in session.read(relation.source, query.where(in_keys(columns, piece))):
            found[tuple(row[:-1])].append((row[-1], clock.types[0]))
    return found


def _across(session: Session, clock: ClockRead, relation: Relation, keys: Sequence[Key]) -> dict[Key, list[Raw]]:
    """The raw values behind hops that leave the row's source: followed step by step."""
    near = table_of(relation)
    columns = [near.c[name] for name in relation.key]
    reached: dict[Key, set[Near]] = {key: set() for key in keys}
    for piece in _pieces(keys):
        query = sa.select(*columns, near.c[clock.hops[0].near_column]).where(in_keys(columns, piece))
        for row in session.read(relation.source, query):
            if row[-1] is not None:
                reached[tuple(row[:-1])].add((relation.source, plain(row[-1])))
    for hop, following in zip(clock.hops, clock.hops[1:], strict=False):
        onward = _follow(session, hop, reached, following.near_column)
        reached = {
            key: {
                (source, plain(value)) for near in nears for source, value in onward.get(near, ()) if value is not None
            }
            for key, nears in reached.items()
        }
    last = clock.hops[-1]
    kinds = dict(zip((far.source for far in last.far), clock.types, strict=True))
    ends = _follow(session, last, reached, clock.column)
    return {
        key: [(raw, kinds[source]) for near in sorted(nears, key=str) for source, raw in ends.get(near, ())]
        for key, nears in reached.items()
    }


def _follow(session: Session, hop: Hop, reached: Mapping[Key, set[Near]], column: str) -> dict[Near, list[Near]]:
    """For each near value the (source, value of the wanted column) of every row that it leads to."""
    nears = {near for found in reached.values() for near in found}
    ends: dict[Near, list[Near]] = {}
    for far in hop.far:
        asked = {near for near in nears if not hop.paired or near[0] == far.source}
        by_value: dict[object, list[Near]] = {}
        for near in asked:
            by_value.setdefault(near[1], []).append(near)
        table = table_of(far)
        for piece in _pieces(sorted(by_value, key=str)):
            query = sa.select(table.c[hop.far_column], table.c[column])
            for row in session.read(far.source, query.where(is_one_of(far, hop.far_column, table, piece))):
                for near in by_value.get(plain(row[0]), ()):
                    ends.setdefault(near, []).append((far.source, row[-1]))
    return ends


def key_of(text: str, relation: Relation) -> Key:
    """The key that a text names, its parts typed as the columns are; a UsageError where it cannot be one."""
    parts = [text] if len(relation.key) == 1 else next(csv.reader([text], skipinitialspace=True), [])
    if len(parts) != len(relation.key):
        raise UsageError(
            f"the key of {relation.label} has {len(relation.key)} parts: {', '.join(relation.key)}",
            hint="separate them by commas",
            code="bad-key",
        )
    return tuple(_typed(part, relation.column(name), relation) for part, name in zip(parts, relation.key, strict=True))


def _typed(text: str, column: Column, relation: Relation) -> Any:
    if column.family not in (Family.INTEGER, Family.BOOLEAN):
        untyped = relation.dialect == "sqlite" and column.family not in (Family.TEXT, Family.BINARY)
        return int(text) if untyped and text.lstrip("-").isdecimal() else text
    try:
        number = int(text)
    except ValueError:
        number = 2**63
    if -(2**63) <= number < 2**63:
        return number
    raise UsageError(f"{relation.label}.{column.name} holds whole numbers, and KEY is none", code="bad-key")


def _pieces(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _MANY] for start in range(0, len(items), _MANY)]
