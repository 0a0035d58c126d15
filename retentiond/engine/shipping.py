"""
Clocks in another source: keys shipped there in batches, flags brought back.

The other source counts its own rows by its own SQL, so that every value is compared where it lives; what comes back
are counts per key, which add up over the sources of a union. No more than one batch of keys is held at a time.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Executable
from sqlalchemy.dialects.postgresql import ARRAY

from retentiond.catalog.model import Family
from retentiond.compiler.clock_sql import ClockSql
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
    What each link value leads to. `links` are values of the row's own column; None (and what leads nowhere) is there too.

    Raises:
        TransientError, FailedError: where a source cannot be asked; then nothing that rests on it is due.
    """
    wanted = {plain(link) for link in links}
    reached: dict[Link, set[tuple[str, Link]]] = {link: {(clock.source, link)} for link in wanted if link is not None}
    for hop in clock.hops[:-1]:
        reached = _hop(clock, hop, reached, read)
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
    clock: ClockRead, hop: Hop, reached: Mapping[Link, set[tuple[str, Link]]], read: Read
) -> dict[Link, set[tuple[str, Link]]]:
    """Every link with the (source, value of the next hop's near column) pairs that it leads to."""
    following = clock.hops[clock.hops.index(hop) + 1]
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
                extreme(value.order_value()),
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


def is_one_of(
    relation: Relation, column: str, table: sa.FromClause, values: Sequence[object]
) -> ColumnElement[bool]:
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


def _exact(relation: Relation, column: ColumnElement[object]) -> ColumnElement[object]:
    """The key column, grouped byte for byte."""
    if relation.column(str(column.key)).family is not Family.TEXT:
        return column
    if relation.dialect in ("mariadb", "mysql"):
        return sa.cast(sa.cast(column, sa.CHAR), sa.BINARY)
    return column.collate("BINARY") if relation.dialect == "sqlite" else column


def _sum(condition: ColumnElement[bool]) -> ColumnElement[object]:
    return sa.func.sum(sa.case((condition, 1), else_=0))


def _is_uuid(value: object) -> bool:
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return True
