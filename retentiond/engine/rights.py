"""
The least rights of a rule: what its statements read and change, by source and table, and nothing else.

Locks are part of it. PostgreSQL lets nobody lock a row who may not update some column of its table; nothing is ever
written there.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from retentiond.catalog.model import Dialect
from retentiond.catalog.rights import Right, merged
from retentiond.compiler.digest import used_columns
from retentiond.compiler.plan import ClockRead, HoldHop, HoldTest, Job, Relation, Step
from retentiond.engine.change import needs_lock
from retentiond.engine.family import emptied_columns
from retentiond.engine.prepare import RIGHTS, SCHEMA, TABLE

# MySQL wants as much as PostgreSQL for FOR UPDATE (not measured); MariaDB locks for whoever may read.
_LOCKS_NEED_UPDATE = ("postgresql", "mysql")


def rights_of(job: Job) -> dict[str, tuple[Right, ...]]:
    """By source the rights that a real run of the job needs on tables and schemas; a dry run needs those to SELECT."""
    relations = {relation.label: relation for relation in relations_of(job)}
    found: dict[str, list[Right]] = {relation.source: [] for relation in relations.values()}
    for label, columns in used_columns(job).items():
        found[relations[label].source].append(_select(relations[label], columns))
    for relation, asked in _asked_of_holds(job):
        found[relation.source].append(_select(relation, asked))
    for step in (job.step, *job.cascade):
        found[step.relation.source] += _changes(job, step)
    for relation in _locked(job):
        if relation.dialect in _LOCKS_NEED_UPDATE and not _updates(found[relation.source], relation):
            found[relation.source].append(Right("table", relation.name, "UPDATE", _lock_column(relation)))
    for relation in relations.values():
        if relation.dialect == "postgresql":
            found[relation.source].append(Right("schema", relation.name.rpartition(".")[0], "USAGE"))
    return {source: merged(rights) for source, rights in found.items() if not _is_sqlite(source, relations)}


def inspection_rights(dialect: Dialect, tables: Iterable[str], *, recorded: bool) -> tuple[Right, ...]:
    """
    What a role needs on MariaDB and MySQL to see these tables as they are, without reading a row; elsewhere everybody
    may look. REFERENCES, which is good for nothing else there, shows columns and indexes, PROCESS foreign keys, TRIGGER
    triggers; of what is `recorded` in the state store the last two are not needed.
    """
    if dialect not in ("mariadb", "mysql"):
        return ()
    names = list(tables)
    found = [Right("table", name, "REFERENCES") for name in names]
    if not recorded:
        found += [Right("server", "", "PROCESS"), *(Right("table", name, "TRIGGER") for name in names)]
    return merged(found)


def fence_rights(dialect: Dialect) -> tuple[Right, ...]:
    """What a role needs on the fence."""
    if dialect == "sqlite":
        return ()
    name = f"{SCHEMA}.{TABLE}" if dialect == "postgresql" else TABLE
    schema = [Right("schema", SCHEMA, "USAGE")] if dialect == "postgresql" else []
    return merged([*schema, *(Right("table", name, right) for right in RIGHTS)])


def relations_of(job: Job) -> Iterator[Relation]:
    """Every table that the job names, some of them more than once."""
    for step in (job.step, *job.cascade):
        yield step.relation
        for clock in _clocks(step):
            for hop in clock.hops:
                yield from hop.far
    for relation, _ in _asked_of_holds(job):
        yield relation


def tables_by_source(jobs: Iterable[Job]) -> dict[str, tuple[str, ...]]:
    """By source the tables, as in its catalog, that the jobs name."""
    found: dict[str, dict[str, None]] = {}
    for job in jobs:
        for relation in relations_of(job):
            found.setdefault(relation.source, {})[relation.name] = None
    return {source: tuple(sorted(names)) for source, names in found.items()}


def _select(relation: Relation, columns: Iterable[str]) -> Right:
    return Right("table", relation.name, "SELECT", tuple(columns))


def _asked_of_holds(job: Job) -> Iterator[tuple[Relation, tuple[str, ...]]]:
    """The columns that tell whether a legal hold keeps a row, table by table."""
    for step in (job.step, *job.cascade):
        holds = step.keepers.holds
        for test in holds.tests:
            yield from _asked_of_test(step.relation, test)
        for climb in holds.climbs:
            yield from _asked_of_hops(step.relation, climb.hops)
            for ancestor in climb.ancestors:
                yield from _asked_of_hops(ancestor.relation, ancestor.hops)
                for test in ancestor.tests:
                    yield from _asked_of_test(ancestor.relation, test)


def _asked_of_test(near: Relation, test: HoldTest) -> Iterator[tuple[Relation, tuple[str, ...]]]:
    for hop in test.hops:
        yield from _asked_of_hops(near, [hop])
        near = hop.far
    yield near, test.columns


def _asked_of_hops(near: Relation, hops: Iterable[HoldHop]) -> Iterator[tuple[Relation, tuple[str, ...]]]:
    for hop in hops:
        yield near, hop.near_columns
        yield hop.far, hop.far_columns


def _changes(job: Job, step: Step) -> Iterator[Right]:
    name = step.relation.name
    if step.masking is not None:
        columns = [column for column, _ in step.masking.methods]
        columns += [step.masking.marker] if step.masking.marker else []
        yield Right("table", name, "UPDATE", tuple(columns))
        return
    yield Right("table", name, "DELETE")
    if emptied := emptied_columns(job).get(step.relation.label):
        yield Right("table", name, "UPDATE", emptied)


def _locked(job: Job) -> Iterator[Relation]:
    """The tables whose rows a run locks."""
    if needs_lock(job):
        yield job.step.relation
    for step in job.cascade:
        yield step.relation
    for step in (job.step, *job.cascade):
        for clock in _clocks(step):
            if clock.local:
                for hop in clock.hops:
                    yield from hop.far


def _clocks(step: Step) -> Iterator[ClockRead]:
    if step.expiry:
        yield from step.expiry.clocks
    for floor in step.keepers.floors:
        yield floor.clock


def _updates(rights: Collection[Right], relation: Relation) -> bool:
    return any(right.name == relation.name and right.privilege == "UPDATE" for right in rights)


def _lock_column(relation: Relation) -> tuple[str, ...]:
    return (relation.key or tuple(column.name for column in relation.columns))[:1]


def _is_sqlite(source: str, relations: Mapping[str, Relation]) -> bool:
    return any(relation.source == source and relation.dialect == "sqlite" for relation in relations.values())
