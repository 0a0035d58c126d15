"""The guards `schema` and `engine`: a job's tables must still be those over which it was approved."""

from collections.abc import Iterator, Mapping

from retentiond.catalog.fingerprint import fingerprint
from retentiond.catalog.model import Catalog
from retentiond.compiler.binding import target_problems
from retentiond.compiler.plan import ClockRead, Job, Relation
from retentiond.engine.guard_objection import Objection
from retentiond.state.approvals import Approval


def relations(job: Job) -> tuple[Relation, ...]:
    """Every table that a job reads or changes, each once."""
    found = [step.relation for step in (job.step, *job.cascade)]
    for clock in _clocks(job):
        found += [far for hop in clock.hops for far in hop.far]
    return tuple({relation.label: relation for relation in found}.values())


def rests_on(job: Job) -> tuple[str, ...]:
    """Every source that a job reads or changes, those it changes first."""
    return tuple(dict.fromkeys([*job.sources, *(relation.source for relation in relations(job))]))


def fingerprints(job: Job, catalogs: Mapping[str, Catalog]) -> dict[str, str]:
    """The fingerprint of each of a job's tables, by source.table."""
    return {
        f"{relation.source}.{relation.name}": fingerprint(catalogs[relation.source], [relation.name])
        for relation in relations(job)
    }


def schema_objections(tables: Mapping[str, str], last: Approval | None) -> Iterator[Objection]:
    """
    The guard `schema`: a table looks different from when the job was last approved. Tables of which the rule did not
    speak then are the rule's change, not the schema's.
    """
    known = last.wanted.tables if last else {}
    changed = sorted(table for table, found in tables.items() if known.get(table, found) != found)
    if changed:
        message = f"the schema of {', '.join(changed)} is not the one that was approved"
        yield Objection("schema", message, "look at what changed, then `retentiond approve`", approvable=True)


def engine_objections(job: Job, catalogs: Mapping[str, Catalog]) -> Iterator[Objection]:
    """The guard `engine`: what cannot be rolled back is not begun."""
    for relation in (step.relation for step in (job.step, *job.cascade)):
        table = catalogs[relation.source].find(relation.name)
        for code, what, remedy in target_problems(table, relation.key) if table else ():
            if code == "not-transactional":
                yield Objection("engine", f"{relation.label} {what}", remedy)


def _clocks(job: Job) -> Iterator[ClockRead]:
    for step in (job.step, *job.cascade):
        if step.expiry:
            yield from step.expiry.clocks
        yield from (floor.clock for floor in step.keepers.floors)
