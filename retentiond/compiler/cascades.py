"""
What goes with a deleted row: the declared tables, how their rows are found, and in which order they go.

Nothing is destroyed that the policy does not name: `reach.py` looks for what the database would do beyond.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from retentiond.catalog.model import ForeignKey
from retentiond.compiler.binding import Binding
from retentiond.compiler.findings import Findings
from retentiond.compiler.links import fits, key_column
from retentiond.compiler.plan import Edge, Relation
from retentiond.compiler.reach import Member, Place, Reach
from retentiond.compiler.triggers import with_partitions
from retentiond.policy.model import Link, Policy, Record
from retentiond.policy.wording import listed, nearest


@dataclass(frozen=True, slots=True)
class Cascade:
    """The tables that go with a row, children before parents, and the edges by which each one's rows are found."""

    members: tuple[tuple[Member, tuple[Edge, ...]], ...]


@dataclass(slots=True)
class _Kin:
    """The root and what is declared to go with it; the root is declared too where its own table is in the cascade."""

    root: Member
    declared: dict[str, Member] = field(default_factory=dict)
    by_table: dict[tuple[str, str], Member] = field(default_factory=dict)  # partitions lead to their table
    by_record: dict[str, list[Member]] = field(default_factory=dict)
    misjoined: set[str] = field(default_factory=set)  # a problem with what should join them was noted

    def everyone(self) -> Iterator[Member]:
        """Each table once, the root first."""
        yield self.root
        yield from (member for label, member in self.declared.items() if label != self.root.label)


class CascadeCompiler:
    """Compiles the cascade of one policy's records."""

    def __init__(self, policy: Policy, binding: Binding, findings: Findings) -> None:
        self._policy = policy
        self._binding = binding
        self._findings = findings
        self._records = {record.name: record for record in policy.records}

    def compile(self, record: Record, source: str) -> Cascade:
        """The cascade of deleting a row of `record` in `source`; problems are noted."""
        root = self._member(record, source, ("records", record.name, "cascade"))
        if root is None:
            return Cascade(())
        kin = _Kin(root)
        self._declare(kin)
        for member in kin.everyone():
            for table in with_partitions(self._binding.catalogs[member.relation.source], member.table):
                kin.by_table[member.relation.source, table.name] = member
            if member.record:
                kin.by_record.setdefault(member.record.name, []).append(member)
        edges = {label: self._edges(member, kin) for label, member in kin.declared.items()}
        for label, member in kin.declared.items():
            if not edges[label] and label not in kin.misjoined:
                self._no_join(member, kin)
        ordered = _children_first(root.label, edges)
        self._check_reach(kin, _circular(ordered, edges))
        return Cascade(tuple((kin.declared[label], edges[label]) for label in ordered if edges[label]))

    def _check_reach(self, kin: _Kin, unlinked: Collection[str]) -> None:
        going: dict[str, set[str]] = {}
        for (source, name), member in kin.by_table.items():
            if member.label in kin.declared:
                going.setdefault(source, set()).add(name)
        catalog = self._binding.catalogs[kin.root.relation.source]
        root = {table.name for table in with_partitions(catalog, kin.root.table)}
        reaches: dict[str, Reach] = {}
        everyone = list(kin.everyone())
        for member in everyone:
            source = member.relation.source
            near = root if source == kin.root.relation.source else set()
            reach = reaches.setdefault(
                source,
                Reach(self._policy, self._binding, self._findings, going.get(source, set()), near, everyone),
            )
            reach.check(member, unlinked=member.label in unlinked)

    def _declare(self, kin: _Kin) -> None:
        """Fills in the tables that the cascades name, level by level."""
        waiting = deque([kin.root])
        followed = set()
        while waiting:
            parent = waiting.popleft()
            if parent.record is None or (parent.record.name, parent.relation.source) in followed:
                continue
            followed.add((parent.record.name, parent.relation.source))
            for index, name in enumerate(parent.record.cascade):
                place = ("records", parent.record.name, "cascade", index)
                for member in self._named(parent.record, parent.relation.source, name, place):
                    known = kin.declared.get(member.label)
                    if known is None or known.record is None:
                        kin.declared[member.label] = member
                    waiting.append(member)

    def _named(self, parent: Record, source: str, name: str, place: Place) -> Iterator[Member]:
        """The tables that one word of a cascade names: a record's in its sources, or one of the parent's source."""
        catalog = self._binding.catalogs[source]
        if child := self._records.get(name):
            for child_source in self._binding.related_sources(parent, source, child):
                if member := self._member(child, child_source, place):
                    yield member
        elif (table := catalog.find(name)) is not None:
            relation = self._binding.relation_of(source, table)
            self._binding.check_target(self._policy, place, source, table, relation.key)
            yield Member(relation, table, None, place)
        else:
            known = [*self._records, *(catalog.short(table) for table in catalog.tables)]
            self._findings.error(
                self._policy,
                place,
                "unknown-table",
                f"{name} is neither a record of this file nor a table of source {source}",
                nearest(name, known, "known"),
            )

    def _member(self, record: Record, source: str, place: Place) -> Member | None:
        relation = self._binding.relation(self._policy, record, source)
        table = self._binding.table(record, source)
        if relation is None or table is None:
            return None
        self._binding.check_target(self._policy, ("records", record.name, "table"), source, table, relation.key)
        return Member(relation, table, record, place)

    def _edges(self, member: Member, kin: _Kin) -> tuple[Edge, ...]:
        """
        The foreign keys that lead to a table of the cascade; to a parent without one, what `belongs_to` says.

        Where the parent does not name the child itself, `belongs_to` joins only what nothing else would.
        """
        found = [
            Edge(
                parent.label,
                key.referenced_columns,
                key.columns,
                _shuts_out(parent.relation, key),
                _collations(member, parent, key),
            )
            for key in member.table.foreign_keys
            if (parent := kin.by_table.get((member.relation.source, key.referenced)))
        ]
        joined = {edge.parent for edge in found}
        by_record = [pair for pair in self._links(member, kin) if pair[1].label not in joined]
        named = [pair for pair in by_record if _names(pair[1], member)]
        leads_up = bool(joined - {member.label}) or (member.label == kin.root.label and bool(joined))
        for link, parent in named or ([] if leads_up else by_record):
            if edge := self._edge_by_record(member, parent, link):
                found.append(edge)
            else:
                kin.misjoined.add(member.label)
        return tuple(sorted(set(found), key=lambda edge: (edge.parent, edge.child_columns, edge.parent_columns)))

    def _links(self, member: Member, kin: _Kin) -> list[tuple[Link, Member]]:
        """The record's `belongs_to` that lead to a table of the cascade, source by source where both name the same."""
        record = member.record
        if record is None:
            return []
        return [
            (link, parent)
            for link in record.belongs_to
            for parent in kin.by_record.get(link.record, ())
            if parent.record is not None
            and (record.sources != parent.record.sources or member.relation.source == parent.relation.source)
        ]

    def _edge_by_record(self, member: Member, parent: Member, link: Link) -> Edge | None:
        assert member.record is not None
        assert parent.record is not None
        place = ("records", member.record.name, "belongs_to", link.record)
        referenced = key_column(link, member.record.name, [parent.table], self._policy, self._findings)
        if referenced is None:
            return None
        ends = (
            (member.record.name, member.relation.source, member.table, link.column),
            (parent.record.name, parent.relation.source, parent.table, referenced),
        )
        for _, source, table, column in ends:
            if not self._binding.check_column(self._policy, place, source, table, column):
                return None
        columns = [(name, table.column(column)) for name, _, table, column in ends]
        if not fits(columns, place, self._policy, self._findings):
            return None
        return Edge(parent.label, (referenced,), (link.column,))

    def _no_join(self, member: Member, kin: _Kin) -> None:
        parents = listed(sorted(other.label for other in kin.everyone() if other.label != member.label)[:10])
        self._findings.error(
            self._policy,
            member.place,
            "no-join",
            f"{member.label} is in the cascade, but no foreign key or belongs_to leads from it to {parents}",
            "bind the table as a record with `belongs_to`, or take it out of the cascade",
        )


def _shuts_out(parent: Relation, key: ForeignKey) -> bool:
    """
    True where a locked parent row lets no new child in. InnoDB looks at the index that the foreign key names: where
    that is not the primary key, a lock on the row does not stand in the way.
    """
    return parent.dialect == "postgresql" or set(key.referenced_columns) == set(parent.key)


def _names(parent: Member, child: Member) -> bool:
    return parent.record is not None and child.record is not None and child.record.name in parent.record.cascade


def _collations(child: Member, parent: Member, key: ForeignKey) -> tuple[str, ...]:
    """The parent's collations, where SQLite would compare the child's own column by others."""
    if child.relation.dialect != "sqlite":
        return ()
    pairs = [
        (child.table.column(own), parent.table.column(referenced))
        for own, referenced in zip(key.columns, key.referenced_columns, strict=True)
    ]
    named = [(own.collation or "BINARY", far.collation or "BINARY") for own, far in pairs if own and far]
    return tuple(far for _, far in named) if any(own != far for own, far in named) else ()


def _children_first(root: str, edges: Mapping[str, tuple[Edge, ...]]) -> list[str]:
    """The tables in an order in which none stands after one it refers to, as far as they do not form a cycle."""
    children: dict[str, list[str]] = {}
    for label, found in edges.items():
        for edge in found:
            children.setdefault(edge.parent, []).append(label)
    ordered: list[str] = []
    visited: set[str] = set()
    for start in (root, *edges):
        if start in visited:
            continue
        visited.add(start)
        path = [(start, iter(children.get(start, ())))]
        while path:
            label, below = path[-1]
            child = next((child for child in below if child not in visited), None)
            if child is None:
                ordered.append(label)
                path.pop()
            else:
                visited.add(child)
                path.append((child, iter(children.get(child, ()))))
    return [label for label in ordered if label in edges]


def _circular(ordered: Sequence[str], edges: Mapping[str, tuple[Edge, ...]]) -> set[str]:
    """The tables whose references may have to be emptied first: they refer to what goes before or with them."""
    gone: set[str] = set()
    found: set[str] = set()
    for label in ordered:
        gone.add(label)
        if any(edge.parent in gone for edge in edges[label]):
            found.add(label)
    return found
