"""
The statements of a job: what is read and what is changed, as SQLAlchemy Core, bound to one instant. Pure.

Every changing statement names its rows by their full key and repeats the predicate on the row's own columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.sql.dml import ReturningDelete

from retentiond.compiler.clock_sql import TEXTS
from retentiond.compiler.key_sets import Key, in_keys, is_one_of
from retentiond.compiler.plan import ClockRead, Edge, HoldTests, Job, Relation, Step
from retentiond.compiler.predicates import Predicates, floor_applies
from retentiond.compiler.related_sql import Related, term_sql, term_value
from retentiond.compiler.tables import table_of
from retentiond.compiler.verdicts import TermFlags

CLASSES = ("outside", "suspect", "not_started", "not_yet", "held", "floored", "due")
"""The classes of a row in the order in which they are asked; `outside` does not pass the rule, or is done."""


def count_statement(job: Job, at: datetime) -> sa.Select[*tuple[Any, ...]]:
    """One pass over the table: per class (an index into CLASSES) the rows and the least own clocks (`least_clocks`)."""
    rows = Predicates(job.step, at)
    expiry = rows.expiry()
    verdict = sa.case(
        (expiry.suspect, 1),
        (expiry.not_started, 2),
        (sa.not_(expiry.due), 3),
        (rows.held(), 4),
        (rows.floored(), 5),
        else_=6,
    )
    inside = sa.and_(rows.passes(), rows.unfinished())
    values = [
        _value(clock, rows, at).label(f"value_{index}") if not clock.hops else sa.null().label(f"value_{index}")
        for index, clock in enumerate(job.expiry.clocks)
    ]
    classified = (
        sa.select(sa.case((inside, verdict), else_=0).label("class"), *values).select_from(rows.table).subquery()
    )
    least = [sa.func.min(_of_kind(kind, classified.c[f"value_{index}"])) for index, kind in least_clocks(job)]
    return sa.select(classified.c["class"], sa.func.count(), *least).group_by(classified.c["class"])


def least_clocks(job: Job) -> list[tuple[int, str]]:
    """
    Whose least values `count_statement` gives: the index of a term, and for texts the kind of value, D, N or Z.

    Dates, local times and instants do not fall due in the order of their texts; each kind for itself does.
    """
    clocks = enumerate(job.expiry.clocks)
    return [(index, kind) for index, clock in clocks for kind in ("DNZ" if clock.types[0] in TEXTS else ("",))]


def _of_kind(kind: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    return sa.case((value.like(f"%{kind}"), value)) if kind else value


def total_statement(relation: Relation) -> sa.Select[int]:
    """The number of rows of a table."""
    return sa.select(sa.func.count()).select_from(table_of(relation))


def due_values_statement(job: Job, at: datetime) -> sa.Select[*tuple[Any, ...]]:
    """The values of all terms of each due row that are over, for the oldest of them."""
    rows = Predicates(job.step, at)
    values = [
        sa.case((term_sql(clock, rows.relation, rows.table, at).due, _value(clock, rows, at)))
        for clock in job.expiry.clocks
    ]
    wanted = (rows.passes(), rows.unfinished(), rows.expiry().due, sa.not_(rows.kept()))
    return sa.select(*values).select_from(rows.table).where(*wanted)


def due_statement(job: Job, at: datetime) -> sa.Select[*tuple[Any, ...]]:
    """The keys of all rows that are due as far as their own source can tell."""
    rows = Predicates(job.step, at)
    wanted = (rows.passes(), rows.unfinished(), rows.expiry().due, sa.not_(rows.kept()))
    return sa.select(*rows.key_columns()).where(*wanted)


def page_statement(
    job: Job, at: datetime, after: Key | None, limit: int, *, everything: bool
) -> sa.Select[*tuple[Any, ...]]:
    """
    The next keys, in key order, of rows that may be due; with `everything`, of all rows that the rule speaks of.

    The lower bound on the key keeps a page from walking over the rows that earlier pages removed.
    """
    rows = Predicates(job.step, at)
    columns = rows.key_columns()
    conditions = [rows.passes(), rows.unfinished()]
    if not everything:
        conditions.append(rows.expiry().due)
    if after is not None:
        conditions.append(beyond(columns, after))
    return sa.select(*columns).where(*conditions).order_by(*columns).limit(limit)


def examine_statement(job: Job, at: datetime, keys: Sequence[Key], extra: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    """
    All that bears on rows of these keys, read together. Columns of the answer, in order: the key; per term four flags
    and its value, or the link that leads to another source; what keeps it (see `keeper_columns`); then the `extra`
    columns.
    """
    rows = Predicates(job.step, at)
    columns: list[ColumnElement[Any]] = [*rows.key_columns()]
    for clock in job.expiry.clocks:
        columns += _term_columns(clock, rows, at)
    columns += keeper_columns(job.step, rows)
    columns += [rows.table.c[name] for name in extra]
    wanted = (in_keys(rows.key_columns(), keys), rows.passes(), rows.unfinished())
    return sa.select(*columns).select_from(rows.table).where(*wanted)


def lock_statement(relation: Relation, keys: Sequence[Key]) -> sa.Select[*tuple[Any, ...]]:
    """
    Locks the rows of these keys. A statement of its own: what is asked afterwards sees everything that was committed
    while this one waited.
    """
    table = table_of(relation)
    columns = [table.c[name] for name in relation.key]
    statement = sa.select(*columns).where(in_keys(columns, keys)).order_by(*columns)
    return _locked(statement, relation, table)


def children_statement(
    step: Step, edge: Edge, at: datetime, values: Sequence[Key], extra: Sequence[str], *, lock: bool
) -> sa.Select[*tuple[Any, ...]]:
    """
    The rows that an edge takes for these parent values: key, child columns, what keeps them (see `keeper_columns`),
    extra columns.
    """
    rows = Predicates(step, at)
    if len(edge.child_columns) == 1 and not edge.parent.startswith(f"{step.relation.source}."):
        condition = is_one_of(step.relation, edge.child_columns[0], rows.table, [value[0] for value in values])
    elif edge.collations:
        named = zip(edge.child_columns, edge.collations, strict=True)
        condition = in_keys([rows.table.c[name].collate(collation) for name, collation in named], values)
    else:
        condition = in_keys([rows.table.c[name] for name in edge.child_columns], values)
    columns = [*rows.key_columns(), *(rows.table.c[name] for name in edge.child_columns)]
    columns += keeper_columns(step, rows)
    columns += [rows.table.c[name] for name in extra]
    statement = sa.select(*columns).select_from(rows.table).where(condition)
    return _locked(statement, step.relation, rows.table) if lock else statement


def keeper_columns(step: Step, rows: Predicates) -> list[ColumnElement[Any]]:
    """
    Held and floored as 0/1; per floor of another source whether it applies, and the link to its clock; then the columns
    that climbs to legal holds begin with.
    """
    columns: list[ColumnElement[Any]] = [_flag(rows.held()), _flag(rows.floored())]
    for floor in step.keepers.floors:
        if not floor.clock.local:
            columns += [
                _flag(floor_applies(floor, step.relation, rows.table)),
                rows.table.c[floor.clock.hops[0].near_column],
            ]
    return columns + [rows.table.c[name] for name in step.keepers.holds.links]


def lock_related_statements(
    clock: ClockRead, relation: Relation, at: datetime, keys: Sequence[Key]
) -> list[sa.Select[*tuple[Any, ...]]]:
    """
    Lock the related rows on which the decision for these keys rests, hop by hop.

    A row that further rows hang on is locked like one that goes: only then does a foreign key let no new one come, and
    it is locked where nothing hangs on it yet, too.
    """
    table = table_of(relation)
    related = Related(clock, table, at)
    joined: sa.FromClause = table
    near = table
    statements = []
    chosen = in_keys([table.c[name] for name in relation.key], keys)
    for number, (hop, far) in enumerate(zip(clock.hops, related.aliases, strict=True), 1):
        joined = joined.join(far, far.c[hop.far_column] == near.c[hop.near_column])
        near = far
        last = number == len(clock.hops)
        if not last and clock.hops[number].up:
            continue
        statement = sa.select(sa.literal(1)).select_from(joined).where(chosen)
        if relation.dialect == "postgresql":
            locked = related.aliases if last else [far]
            statements.append(statement.with_for_update(read=last, of=locked))
        else:
            statements.append(statement.with_for_update())
    return statements


def floored_statement(step: Step, at: datetime, keys: Sequence[Key]) -> sa.Select[*tuple[Any, ...]]:
    """Those of the keys that a floor, or a held column, keeps as far as their own source can tell."""
    rows = Predicates(step, at)
    return sa.select(*rows.key_columns()).where(in_keys(rows.key_columns(), keys), rows.kept())


def contradiction_statement(clock: ClockRead, at: datetime, links: Sequence[object], expected: str) -> sa.Select[int]:
    """
    A row where one of the related rows, as they are now, contradicts what was found for these link values.

    `expected` is `due` or `never`: what the term was found to be.
    """
    first = clock.hops[0].far[0]
    anchor = table_of(first, "related_1")
    related = Related(clock, anchor, at)
    value = related.value
    joined: sa.FromClause = related.aliases[0]
    for hop, near, far in zip(clock.hops[1:], related.aliases, related.aliases[1:], strict=False):
        joined = joined.join(far, far.c[hop.far_column] == near.c[hop.near_column])
    dated = sa.not_(value.empty())
    missing = sa.false() if clock.nulls_never else value.empty()
    if expected == "never":
        against = sa.or_(dated, missing)
    elif clock.term.clock.moment.which == "first":
        against = value.suspect()
    else:
        against = sa.or_(missing, sa.and_(dated, sa.not_(value.due())))
    link = related.aliases[0].c[clock.hops[0].far_column]
    return sa.select(sa.literal(1)).select_from(joined).where(link.in_(links), against).limit(1)


def delete_statement(step: Step, at: datetime, keys: Sequence[Key], known: Mapping[int, TermFlags]) -> sa.Delete:
    """Deletes the rows of these keys that are still expired (`known`: what was found of their related clocks)."""
    rows = Predicates(step, at)
    conditions = [in_keys(rows.key_columns(), keys), *still(step, rows, known)]
    return sa.delete(_target(rows.table)).where(*conditions)


def delete_returning_statement(
    step: Step, at: datetime, keys: Sequence[Key], known: Mapping[int, TermFlags]
) -> ReturningDelete[Any]:
    """`delete_statement` that tells the keys of the rows it took."""
    statement = delete_statement(step, at, keys, known)
    return statement.returning(*(table_of(step.relation).c[name] for name in step.relation.key))


def update_statement(
    step: Step, at: datetime, keys: Sequence[Key], known: Mapping[int, TermFlags], values: Mapping[str, object]
) -> sa.Update:
    """Sets the values on the rows of these keys that are still expired and not yet done."""
    rows = Predicates(step, at)
    conditions = [in_keys(rows.key_columns(), keys), *still(step, rows, known), rows.unfinished()]
    columns = {rows.table.c[name]: value for name, value in values.items()}
    return sa.update(_target(rows.table)).where(*conditions).values(columns)


def still(step: Step, rows: Predicates, known: Mapping[int, TermFlags]) -> list[ColumnElement[bool]]:
    """What must hold of a row's own columns in the statement that changes it."""
    conditions = [sa.not_(rows.held()), sa.not_(rows.floored_by_own_columns())]
    if step.expiry is not None:
        conditions += [rows.passes(), rows.expiry(known).due]
    return conditions


def beyond(columns: Sequence[ColumnElement[Any]], key: Key) -> ColumnElement[bool]:
    """True where the columns come after the key in key order, said so that an index range serves on every engine."""
    condition: ColumnElement[bool] = columns[-1] > key[-1]
    for column, value in zip(reversed(columns[:-1]), reversed(key[:-1]), strict=True):
        condition = sa.and_(column >= value, sa.or_(column > value, condition))
    return condition


def related_terms(clocks: Iterable[ClockRead]) -> list[int]:
    """The indexes of the terms that rest on other rows."""
    return [index for index, clock in enumerate(clocks) if clock.hops]


def _term_columns(clock: ClockRead, rows: Predicates, at: datetime) -> list[ColumnElement[Any]]:
    if not clock.local:
        return [rows.table.c[clock.hops[0].near_column]]
    term = term_sql(clock, rows.relation, rows.table, at)
    flags = [_flag(condition) for condition in (term.suspect, term.due, term.never, term.running)]
    columns = [*flags, _value(clock, rows, at)]
    return [*columns, rows.table.c[clock.hops[0].near_column]] if clock.hops else columns


def _value(clock: ClockRead, rows: Predicates, at: datetime) -> ColumnElement[Any]:
    return term_value(clock, rows.relation, rows.table, at)


def _flag(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return sa.case((condition, 1), else_=0)


def _locked(
    statement: sa.Select[*tuple[Any, ...]], relation: Relation, table: sa.FromClause
) -> sa.Select[*tuple[Any, ...]]:
    if relation.dialect == "sqlite":
        return statement  # the transaction holds the whole file
    return statement.with_for_update(of=table) if relation.dialect == "postgresql" else statement.with_for_update()


def _target(table: sa.FromClause) -> sa.TableClause:
    assert isinstance(table, sa.TableClause)
    return table


def update_rows_statement(
    step: Step, at: datetime, known: Mapping[int, TermFlags], fixed: Mapping[str, object], computed: Sequence[str]
) -> sa.Update:
    """
    `update_statement` for one row at a time: the key as parameters `key_0` …, computed values as `new_COLUMN`.

    Legal holds are not asked for again, row by row: the rows are locked, and what keeps them was asked under the lock.
    """
    rows = Predicates(replace(step, keepers=replace(step.keepers, holds=HoldTests())), at)
    by_key = [column == sa.bindparam(f"key_{index}") for index, column in enumerate(rows.key_columns())]
    conditions = [*by_key, *still(step, rows, known), rows.unfinished()]
    columns = {rows.table.c[name]: value for name, value in fixed.items()}
    columns |= {rows.table.c[name]: sa.bindparam(f"new_{name}") for name in computed}
    return sa.update(_target(rows.table)).where(*conditions).values(columns)


def unlink_statement(step: Step, keys: Sequence[Key], columns: Sequence[str]) -> sa.Update:
    """
    Empties references of rows that are about to go and refer to each other in a circle; rows that refer to nothing stay
    as they are, and are not reported as changed.
    """
    table = table_of(step.relation)
    emptied = {table.c[name]: sa.null() for name in columns}
    chosen = in_keys([table.c[name] for name in step.relation.key], keys)
    refers = sa.or_(*(column.is_not(None) for column in emptied))
    return sa.update(_target(table)).where(chosen, refers).values(emptied)
