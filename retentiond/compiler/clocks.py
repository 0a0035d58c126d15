"""Terms meet the live schema: over which hops a clock is reached, in which column it stands, as what it is read."""

from retentiond.catalog.model import Column, Table
from retentiond.compiler.binding import Binding
from retentiond.compiler.clock_types import clock_type
from retentiond.compiler.findings import Findings
from retentiond.compiler.links import fits, key_column
from retentiond.compiler.plan import ClockRead, Hop, Relation
from retentiond.policy.clocks import ClockType
from retentiond.policy.model import Policy, Record, Term
from retentiond.policy.relations import Step, clock_path

Place = tuple[str | int, ...]


class ClockCompiler:
    """Compiles the terms of one policy's rules; what does not fit the schema is noted."""

    def __init__(self, policy: Policy, binding: Binding, findings: Findings) -> None:
        self._policy = policy
        self._binding = binding
        self._findings = findings

    def compile(self, record: Record, source: str, term: Term, place: Place) -> ClockRead | None:
        """How the term's clock is read for a row of `record` in `source`; None where a problem was noted."""
        moment = term.clock.moment
        steps = clock_path(self._policy.records, record.name, moment).steps if moment.record else ()
        hops = self._hops(record, source, steps, place)
        if hops is None:
            return None
        owner = self._policy.record(moment.record) if moment.record else record
        relations = hops[-1].far if hops else (self._binding.relation(self._policy, record, source),)
        types = [self._type(owner, relation, moment.column, place) for relation in relations if relation]
        if len(types) < len(relations) or None in types:
            return None
        return ClockRead(
            term=term,
            column=moment.column,
            types=tuple(found for found in types if found is not None),
            format=owner.format_of(moment.column),
            hops=hops,
            zone=owner.timezone,
            plausible_from=owner.plausible_from,
            nulls_never=moment.column in owner.never_happened,
            source=source,
        )

    def _type(self, owner: Record, relation: Relation, column: str, place: Place) -> ClockType | None:
        table = self._binding.catalogs[relation.source].tables[relation.name]
        if not self._binding.check_column(self._policy, place, relation.source, table, column):
            return None
        found = clock_type(relation.column(column), owner.format_of(column))
        if isinstance(found, ClockType):
            return found
        where = f"{relation.label}.{column}"
        self._findings.error(self._policy, place, "not-a-clock", f"{where} cannot be a clock: {found}")
        return None

    def _hops(self, record: Record, source: str, steps: tuple[Step, ...], place: Place) -> tuple[Hop, ...] | None:
        hops: list[Hop] = []
        near = record
        sources: tuple[str, ...] = (source,)
        for step in steps:
            far = self._policy.record(step.parent if step.up else step.child)
            paired = near.sources == far.sources
            reached = sources if paired else self._binding.sources(far)
            hop = self._hop(near, sources, far, reached, step, paired=paired and len(sources) > 1, place=place)
            if hop is None:
                return None
            hops.append(hop)
            near, sources = far, reached
        return tuple(hops)

    def _hop(
        self,
        near: Record,
        near_sources: tuple[str, ...],
        far: Record,
        far_sources: tuple[str, ...],
        step: Step,
        *,
        paired: bool,
        place: Place,
    ) -> Hop | None:
        ends = [
            self._table(record, name) for record, names in ((near, near_sources), (far, far_sources)) for name in names
        ]
        if not far_sources or None in ends:
            return None
        tables = [end for end in ends if end is not None]
        parents = tables[len(near_sources) :] if step.up else tables[: len(near_sources)]
        referenced = key_column(step.link, step.child, parents, self._policy, self._findings)
        if referenced is None:
            return None
        columns = (step.link.column, referenced) if step.up else (referenced, step.link.column)
        if not self._joinable(near, near_sources, columns[0], far, far_sources, columns[1], place):
            return None
        relations = [self._binding.relation(self._policy, far, name) for name in far_sources]
        return Hop(*columns, tuple(found for found in relations if found), step.up, paired)

    def _table(self, record: Record, source: str) -> Table | None:
        found = self._binding.relation(self._policy, record, source)
        return self._binding.table(record, source) if found else None

    def _joinable(
        self,
        near: Record,
        near_sources: tuple[str, ...],
        near_column: str,
        far: Record,
        far_sources: tuple[str, ...],
        far_column: str,
        place: Place,
    ) -> bool:
        ends: list[tuple[str, Column | None]] = []
        for record, sources, column in ((near, near_sources, near_column), (far, far_sources, far_column)):
            for source in sources:
                table = self._binding.table(record, source)
                if table is None or not self._binding.check_column(self._policy, place, source, table, column):
                    return False
                ends.append((record.name, table.column(column)))
        return fits(ends, place, self._policy, self._findings)
