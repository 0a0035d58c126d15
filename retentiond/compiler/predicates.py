"""
A step's questions as SQL over one alias of its table, bound to one instant: what passes the rule, what is expired,
what is held or floored, what a mask has still to do. Pure: built from the plan, executed elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from retentiond.catalog.model import Family
from retentiond.compiler.conditions_sql import ConditionSql
from retentiond.compiler.hold_sql import held_by_holds
from retentiond.compiler.plan import Expiry, Floor, HoldTests, Keepers, Masking, Relation, Step
from retentiond.compiler.recognise_sql import done_sql
from retentiond.compiler.related_sql import term_sql
from retentiond.compiler.tables import table_of
from retentiond.compiler.verdicts import OVER, RowSql, TermFlags, TermSql, combine_sql
from retentiond.policy.expression import Expression


class Predicates:
    """The conditions of one step's rows at `at` (UTC, whole seconds)."""

    def __init__(self, step: Step, at: datetime, table: sa.FromClause | None = None) -> None:
        self._step = step
        self._at = at
        self.relation = step.relation
        self.table = table if table is not None else table_of(step.relation)

    def passes(self) -> ColumnElement[bool]:
        """True where the rule's `where` is true; unknown is not."""
        expiry = self._step.expiry
        return where_true(expiry.where if expiry else None, self.relation, self.table)

    def unfinished(self) -> ColumnElement[bool]:
        """True where a mask has still something to do; always true for a deletion."""
        masking = self._step.masking
        return mask_unfinished(masking, self.relation, self.table) if masking else sa.true()

    def expiry(self, known: Mapping[int, TermFlags] | None = None) -> RowSql:
        """
        The expiry of a row. Terms in `known` (by index) are taken as found; clocks of other sources that are not in
        it are assumed to be over, so that the condition is necessary, not sufficient.
        """
        expiry = self._expiry()
        return combine_sql(expiry.combine, [self._term(index, known or {}) for index in range(len(expiry.clocks))])

    def held(self) -> ColumnElement[bool]:
        """True where one of the `held` columns is true, or a legal hold that this source can tell keeps the row."""
        return held_sql(self._step.keepers, self.relation, self.table)

    def held_by_column(self) -> ColumnElement[bool]:
        """True where one of the `held` columns is true."""
        return held_sql(replace(self._step.keepers, holds=HoldTests()), self.relation, self.table)

    def floored(self) -> ColumnElement[bool]:
        """True where a floor that this source can tell has not ended."""
        local = [floor for floor in self._step.keepers.floors if floor.clock.local]
        return _any(floor_sql(floor, self.relation, self.table, self._at) for floor in local)

    def floored_by_own_columns(self) -> ColumnElement[bool]:
        """True where a floor on the row's own columns has not ended; what a changing statement can ask."""
        own = [floor for floor in self._step.keepers.floors if not floor.clock.hops]
        return _any(floor_sql(floor, self.relation, self.table, self._at) for floor in own)

    def kept(self) -> ColumnElement[bool]:
        """True where the row is held or floored, as far as this source can tell."""
        return sa.or_(self.held(), self.floored())

    def key_columns(self) -> list[ColumnElement[Any]]:
        """The columns that identify a row, in the key's order."""
        return [self.table.c[name] for name in self.relation.key]

    def _expiry(self) -> Expiry:
        assert self._step.expiry is not None
        return self._step.expiry

    def _term(self, index: int, known: Mapping[int, TermFlags]) -> TermSql:
        if index in known:
            return known[index].as_sql()
        clock = self._expiry().clocks[index]
        return term_sql(clock, self.relation, self.table, self._at) if clock.local else OVER.as_sql()


def where_true(where: Expression | None, relation: Relation, table: sa.FromClause) -> ColumnElement[bool]:
    """The condition, or true without one."""
    return sa.true() if where is None else ConditionSql(relation, table).render(where)


def held_sql(keepers: Keepers, relation: Relation, table: sa.FromClause) -> ColumnElement[bool]:
    """True where one of the `held` columns is set, or a legal hold says so; never unknown."""
    conditions = held_by_holds(keepers.holds, relation, table)
    for name in keepers.held:
        column = table.c[name]
        if relation.column(name).family is Family.BOOLEAN and relation.dialect == "postgresql":
            conditions.append(column.is_(sa.true()))
        else:
            conditions.append(sa.and_(column.is_not(None), column != sa.literal(0)))
    return _any(conditions)


def _any(conditions: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """True where one of the conditions is; plainly false without any, so that statements stay readable."""
    found = list(conditions)
    return sa.or_(*found) if found else sa.false()


def floor_sql(floor: Floor, relation: Relation, table: sa.FromClause, at: datetime) -> ColumnElement[bool]:
    """True where the floor holds: its where is not false, and its period is not known to have ended."""
    running = sa.not_(term_sql(floor.clock, relation, table, at).due)
    if floor.where is None:
        return running
    return sa.and_(floor_applies(floor, relation, table), running)


def floor_applies(floor: Floor, relation: Relation, table: sa.FromClause) -> ColumnElement[bool]:
    """True where the floor's `where` is true or unknown."""
    if floor.where is None:
        return sa.true()
    condition = ConditionSql(relation, table).render(floor.where)
    return sa.case((condition, 1), (sa.not_(condition), 0), else_=1) == 1


def mask_unfinished(masking: Masking, relation: Relation, table: sa.FromClause) -> ColumnElement[bool]:
    """True where neither the marker is set nor every column shows its method's output."""
    recognised = [done_sql(method, relation.column(name), relation, table) for name, method in masking.methods]
    shown = [condition for condition in recognised if condition is not None]
    unfinished = sa.or_(*map(sa.not_, shown)) if len(shown) == len(recognised) else sa.true()
    if masking.marker is None:
        return unfinished
    return sa.and_(marker_unset(masking.marker, relation, table), unfinished)


def marker_unset(marker: str, relation: Relation, table: sa.FromClause) -> ColumnElement[bool]:
    """True where the marker is NULL or false."""
    column = table.c[marker]
    if relation.column(marker).family is not Family.BOOLEAN:
        return column.is_(None)
    if relation.dialect == "postgresql":
        return column.is_not(sa.true())
    return sa.or_(column.is_(None), column == sa.literal(0))
