"""
Clocks on related rows of the same source, as SQL over the row they are asked for: EXISTS for the conditions, one
scalar for the value that the term rests on.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from retentiond.compiler.clock_sql import ClockSql
from retentiond.compiler.plan import ClockRead, Hop, Relation
from retentiond.compiler.tables import table_of
from retentiond.compiler.verdicts import TermSql


class Related:
    """The rows that a clock's hops lead to from a row of `table`, as an alias each."""

    def __init__(self, clock: ClockRead, table: sa.FromClause, at: datetime) -> None:
        self._near = table
        self._hops = clock.hops
        self.aliases = [table_of(hop.far[0], f"related_{number}") for number, hop in enumerate(clock.hops, 1)]
        self.value = ClockSql(clock, clock.types[0], clock.hops[-1].far[0], self.aliases[-1], at)

    def exists(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """True where a related row meets the condition."""
        rows = sa.select(sa.literal(1)).select_from(self._joined()).where(self._link(), condition)
        return rows.correlate(self._near).exists()

    def scalar(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """One value computed over the related rows."""
        rows = sa.select(value).select_from(self._joined()).where(self._link())
        return rows.correlate(self._near).scalar_subquery()

    def _joined(self) -> sa.FromClause:
        joined: sa.FromClause = self.aliases[0]
        for hop, near, far in zip(self._hops[1:], self.aliases, self.aliases[1:], strict=False):
            joined = joined.join(far, join_condition(hop, near, far))
        return joined

    def _link(self) -> ColumnElement[bool]:
        return join_condition(self._hops[0], self._near, self.aliases[0])


def join_condition(hop: Hop, near: sa.FromClause, far: sa.FromClause) -> ColumnElement[bool]:
    """The equality that leads over a hop."""
    return far.c[hop.far_column] == near.c[hop.near_column]


def term_sql(clock: ClockRead, relation: Relation, table: sa.FromClause, at: datetime) -> TermSql:
    """The term of a clock that lives in the row's own source."""
    if not clock.hops:
        value = ClockSql(clock, clock.types[0], relation, table, at)
        return TermSql(value.suspect(), value.due(), *_emptiness(clock, value.empty()))
    related = Related(clock, table, at)
    value = related.value
    suspect = related.exists(value.suspect())
    which = clock.term.clock.moment.which
    if which is None:
        dated = related.exists(sa.not_(value.empty()))
        never = related.exists(value.empty()) if clock.nulls_never else sa.false()
        return TermSql(suspect, related.exists(value.due()), never, sa.and_(sa.not_(dated), sa.not_(never)))
    dated = related.exists(sa.not_(value.empty()))
    missing = sa.false() if clock.nulls_never else related.exists(value.empty())
    if which == "last":
        pending = sa.and_(sa.not_(value.empty()), sa.not_(value.due()))
        over = sa.and_(dated, sa.not_(missing), sa.not_(related.exists(pending)))
        return TermSql(suspect, over, sa.and_(sa.not_(dated), sa.not_(missing)), missing)
    over = sa.and_(related.exists(value.due()), sa.not_(suspect))
    running = sa.and_(missing, sa.not_(dated))
    return TermSql(suspect, over, sa.and_(sa.not_(dated), sa.not_(running)), running)


def term_value(clock: ClockRead, relation: Relation, table: sa.FromClause, at: datetime) -> ColumnElement[Any]:
    """The value of the clock that a due row's term rests on; `clock_sql.decode` reads it."""
    if not clock.hops:
        return ClockSql(clock, clock.types[0], relation, table, at).order_value()
    related = Related(clock, table, at)
    aggregate = sa.func.min if clock.term.clock.moment.which == "first" else sa.func.max
    return related.scalar(aggregate(related.value.order_value(by_due=True)))


def _emptiness(clock: ClockRead, empty: ColumnElement[bool]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """`never` and `running` of an own column that is NULL."""
    return (empty, sa.false()) if clock.nulls_never else (sa.false(), empty)
