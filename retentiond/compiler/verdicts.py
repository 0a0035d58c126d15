"""
How the terms of a rule combine, said once for SQL and once for counted flags; both must stay alike.

Order of the questions: suspect, before anything else; then started or not; then due or not yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from retentiond.policy.model import Combine


@dataclass(frozen=True, slots=True)
class TermSql:
    """One term as four conditions, each true or false; at most one of `due`, `never`, `running` is true."""

    suspect: ColumnElement[bool]
    due: ColumnElement[bool]
    never: ColumnElement[bool]
    running: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class TermFlags:
    """One term of one row, as found. A term that is none of the four has started and is not over yet."""

    suspect: bool
    due: bool
    never: bool
    running: bool

    def as_sql(self) -> TermSql:
        """The flags as constants, for a statement that repeats the rest of the predicate."""
        return TermSql(
            *(sa.true() if flag else sa.false() for flag in (self.suspect, self.due, self.never, self.running))
        )


OVER = TermFlags(suspect=False, due=True, never=False, running=False)
"""A term that is over: what a first look assumes of clocks that only another source can tell."""


@dataclass(frozen=True, slots=True)
class RowSql:
    """A row's expiry as conditions."""

    suspect: ColumnElement[bool]
    not_started: ColumnElement[bool]
    due: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class RowFlags:
    """A row's expiry as found."""

    suspect: bool
    not_started: bool
    due: bool


def combine_sql(combine: Combine, terms: Sequence[TermSql]) -> RowSql:
    """The expiry of a row out of its terms; `due` implies neither suspect nor not started."""
    suspect = sa.or_(*(term.suspect for term in terms))
    if combine == "last":
        running = sa.or_(*(term.running for term in terms))
        not_started = sa.or_(running, sa.and_(*(term.never for term in terms)))
        over = sa.and_(*(sa.or_(term.due, term.never) for term in terms), sa.or_(*(term.due for term in terms)))
    else:
        not_started = sa.and_(*(sa.or_(term.running, term.never) for term in terms))
        over = sa.or_(*(term.due for term in terms))
    if len(terms) == 1:
        return RowSql(suspect, not_started, over)  # a due value is plausible: nothing more to ask
    return RowSql(suspect, not_started, sa.and_(over, sa.not_(suspect)))


def combine_flags(combine: Combine, terms: Sequence[TermFlags]) -> RowFlags:
    """The expiry of a row out of its terms: the twin of `combine_sql`."""
    suspect = any(term.suspect for term in terms)
    if combine == "last":
        not_started = any(term.running for term in terms) or all(term.never for term in terms)
        over = all(term.due or term.never for term in terms) and any(term.due for term in terms)
    else:
        not_started = all(term.running or term.never for term in terms)
        over = any(term.due for term in terms)
    return RowFlags(suspect, not_started, over and not suspect)


@dataclass(frozen=True, slots=True)
class RelatedCount:
    """What was counted among the related rows of one link value; counts of several sources add up."""

    rows: int = 0
    nulls: int = 0
    suspects: int = 0
    dues: int = 0

    def __add__(self, other: "RelatedCount") -> "RelatedCount":
        return RelatedCount(
            self.rows + other.rows, self.nulls + other.nulls, self.suspects + other.suspects, self.dues + other.dues
        )

    def flags(self, which: str | None, *, nulls_never: bool) -> TermFlags:
        """The term's flags: `last`, `first`, or None for the one row that a record belongs to."""
        dated = self.rows - self.nulls
        if which == "last":
            running = self.nulls > 0 and not nulls_never
            never = dated == 0 and not running
            due = dated > 0 and not running and self.dues == dated
        elif which == "first":
            running = dated == 0 and self.nulls > 0 and not nulls_never
            never = dated == 0 and not running
            due = self.dues > 0
        else:
            never = self.nulls > 0 and nulls_never
            running = dated == 0 and not never
            due = self.dues > 0
        suspect = self.suspects > 0
        return TermFlags(suspect=suspect, due=due and not suspect, never=never, running=running)
