"""
Clocks in another source: keys shipped there in batches, flags brought back.

The other source counts its own rows by its own SQL, so that every value is compared where it lives; what comes back
are counts per key, which add up over the sources of a union. No more than one batch of keys is held at a time.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Executable

from retentiond.catalog.model import Family
from retentiond.compiler.clock_sql import ClockSql
from retentiond.compiler.key_sets import is_one_of
from retentiond.compiler.plan import ClockRead, Hop, Relation
from retentiond.compiler.tables import table_of
from retentiond.compiler.verdicts import RelatedCount, TermFlags
from retentiond.engine.session import Rows
from retentiond.policy.calendar import Reading, due_instant

Link = object
Read = Callable[[str, Executable], Rows]


@dataclass(frozen=True, slots=True)
class Shipped:
    """One link's answer: the term's flags and the reading that a due term rests on."""

    flags: TermFlags
    value: Reading | None


def ship(clock: ClockRead, links: Iterable[Link], at: datetime, read: Read) -> dict[Link, Shipped]:
    """
    What each link value leads to; also what None, and a value that leads nowhere, amounts to.

    Raises:
        TransientError, FailedError: where a source cannot be asked; then nothing that rests on it is due.
    """
    wanted = {plain(link) for link in links}
    reached: dict[Link, set[tuple[str, Link]]] = {link: {(clock.source, link)} for link in wanted if link is not None}
    for hop, following in zip(clock.hops, clock.hops[1:], strict=False):
        reached = _hop(hop, following, reached, read)
    counts = _count(clock, reached, at, read)
    answers = {}
    for link in wanted:
        found = [counts[end] for end in reached.get(link, ()) if end in counts]
        total = sum((count for count, _ in found), RelatedCount())
        which = clock.term.clock.moment.which
        value = _choose(clock, (value for _, value in found))
        answers[link] = Shipped(total.flags(which, nulls_never=clock.nulls_never), value)
    return answers


def plain(value: object) -> object:
    """The value as every driver would give it: whole numbers as int, UUIDs as text, MariaDB's bytes as text."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bool):
        return int(value)
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _hop(
    hop: Hop, following: Hop, reached: Mapping[Link, set[tuple[str, Link]]], read: Read
) -> dict[Link, set[tuple[str, Link]]]:
    """Every link with the (source, value of the next hop's near column) pairs that it leads to."""
    found: dict[tuple[str, Link], set[tuple[str, Link]]] = {}
    for relation, values in _asked(hop, reached):
        table = table_of(relation)
        far = _exact(relation, table.c[hop.far_column])
        query = sa.select(far, table.c[following.near_column]).where(
            is_one_of(relation, hop.far_column, table, values), table.c[following.near_column].is_not(None)
        )
        for value, onward in read(relation.source, query.distinct()):
            found.setdefault((relation.source, plain(value)), set()).add((relation.source, plain(onward)))
    ends: dict[Link, set[tuple[str, Link]]] = {}
    for link, nears in reached.items():
        far_ends = [(relation.source, value) for near, value in nears for relation in _far(hop, near)]
        ends[link] = set().union(*(found.get(end, set()) for end in far_ends)) if far_ends else set()
    return ends


def _count(
    clock: ClockRead, reached: dict[Link, set[tuple[str, Link]]], at: datetime, read: Read
) -> dict[tuple[str, Link], tuple[RelatedCount, Reading | None]]:
    """For each (near source, value) of the last hop what was counted, over all far relations it leads to."""
    hop = clock.hops[-1]
    by_far: dict[tuple[str, Link], tuple[RelatedCount, Reading | None]] = {}
    for relation, values in _asked(hop, reached):
        kind = clock.types[hop.far.index(relation)]
        table = table_of(relation)
        value = ClockSql(clock, kind, relation, table, at)
        far = _exact(relation, table.c[hop.far_column])
        extreme = sa.func.min if clock.term.clock.moment.which == "first" else sa.func.max
        query = (
            sa.select(
                far,
                sa.func.count(),
                _sum(value.empty()),
                _sum(value.suspect()),
                _sum(value.due()),
                extreme(value.order_value(by_due=True)),
            )
            .where(is_one_of(relation, hop.far_column, table, values))
            .group_by(far)
        )
        for link, rows, nulls, suspects, dues, most in read(relation.source, query):
            count = RelatedCount(int(rows), int(nulls), int(suspects), int(dues))
            by_far[relation.source, plain(link)] = (count, value.decode(most))
    answers: dict[tuple[str, Link], tuple[RelatedCount, Reading | None]] = {}
    for near, link in {end for ends in reached.values() for end in ends}:
        found = [by_far[relation.source, link] for relation in _far(hop, near) if (relation.source, link) in by_far]
        if found:
            total = sum((count for count, _ in found), RelatedCount())
            answers[near, link] = (total, _choose(clock, (value for _, value in found)))
    return answers


def due_of(clock: ClockRead, reading: Reading) -> datetime:
    """The instant at which a clock's term is over for this reading; the end of time where that is never."""
    term = clock.term
    due = due_instant(term.period, term.clock.end_of, reading, ZoneInfo(clock.zone))
    return due or datetime.max.replace(tzinfo=UTC)


def _asked(hop: Hop, reached: Mapping[Link, set[tuple[str, Link]]]) -> Iterator[tuple[Relation, list[object]]]:
    """Each far relation with the values to ask it for."""
    for relation in hop.far:
        values = {value for ends in reached.values() for near, value in ends if relation in _far(hop, near)}
        if values:
            yield relation, sorted(values, key=str)


def _far(hop: Hop, near: str) -> tuple[Relation, ...]:
    """The far relations that rows of a near source relate to."""
    if not hop.paired:
        return hop.far
    return tuple(relation for relation in hop.far if relation.source == near)


def _choose(clock: ClockRead, values: Iterable[Reading | None]) -> Reading | None:
    """The value that the term rests on: the one due last, or for `first` the one due first."""
    found = [value for value in values if value is not None]
    if not found:
        return None
    choose = min if clock.term.clock.moment.which == "first" else max
    return choose(found, key=lambda value: due_of(clock, value))


def _exact(relation: Relation, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The key column, grouped byte for byte."""
    if relation.column(str(column.key)).family is not Family.TEXT:
        return column
    if relation.dialect in ("mariadb", "mysql"):
        return sa.cast(sa.cast(column, sa.CHAR), sa.BINARY)
    return column.collate("BINARY") if relation.dialect == "sqlite" else column


def _sum(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return sa.func.sum(sa.case((condition, 1), else_=0))
