"""
What goes with a deleted row: the declared tables, how their rows are found, and in which order they go.

Nothing is destroyed that the policy does not name: a foreign key by which the database would delete more, or refuse,
is a problem that says which table to declare.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from retentiond.catalog.model import ForeignKey, Table
from retentiond.compiler.binding import Binding
from retentiond.compiler.findings import Findings
from retentiond.compiler.plan import Edge, Relation
from retentiond.policy.model import Policy, Record
from retentiond.policy.wording import listed, nearest

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """One table of a cascade. `record` is None for a table that the policy only names; `place` is where it does."""

    relation: Relation
    table: Table
    record: Record | None
    place: Place


@dataclass(frozen=True, slots=True)
class Cascade:
    """The tables that go with a row, children before parents, and the edges by which each one's rows are found."""

    members: tuple[tuple[Member, tuple[Edge, ...]], ...]


class CascadeCompiler:
    """Compiles the cascade of one policy's records."""

    def __init__(self, policy: Policy, binding: Binding, findings: Findings) -> None:
        self._policy = policy
        self._binding = binding
        self._findings = findings

    def compile(self, record: Record, source: str) -> Cascade:
        """The cascade of deleting a row of `record` in `source`; problems are noted."""
        root = self._member(record, source, ("records", record.name, "cascade"))
        if root is None:
            return Cascade(())
        declared: dict[str, Member] = {}
        self._declare(record, source, declared)
        everyone = {root.relation.label: root, **declared}
        edges = {label: self._edges(member, everyone) for label, member in declared.items()}
        for label, member in declared.items():
            if not edges[label]:
                self._no_join(member, everyone)
        for member in everyone.values():
            self._check_reach(member, everyone, self_declared=root.relation.label in declared)
        ordered = _children_first(root.relation.label, edges)
        return Cascade(tuple((declared[label], edges[label]) for label in ordered if edges[label]))

    def _declare(self, record: Record, source: str, declared: dict[str, Member]) -> None:
        records = {known.name: known for known in self._policy.records}
        for index, name in enumerate(record.cascade):
            place = ("records", record.name, "cascade", index)
            if name in records:
                child = records[name]
                for child_source in self._binding.related_sources(record, source, child):
                    member = self._member(child, child_source, place)
                    if member and member.relation.label not in declared:
                        declared[member.relation.label] = member
                        self._declare(child, child_source, declared)
            elif (table := self._binding.catalogs[source].find(name)) is not None:
                relation = self._binding.relation_of(source, table)
                self._binding.check_target(self._policy, place, source, table, relation.key)
                declared.setdefault(relation.label, Member(relation, table, None, place))
            else:
                known = [
                    *records,
                    *(self._binding.catalogs[source].short(t) for t in self._binding.catalogs[source].tables),
                ]
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

    def _edges(self, member: Member, everyone: dict[str, Member]) -> tuple[Edge, ...]:
        source = member.relation.source
        by_key = [
            Edge(parent.relation.label, key.referenced_columns, key.columns)
            for parent in everyone.values()
            if parent.relation.source == source
            for key in member.table.foreign_keys
            if key.referenced == parent.table.name
        ]
        leads_up = any(edge.parent != member.relation.label for edge in by_key)
        if leads_up or (by_key and member.relation.label == next(iter(everyone))):
            return tuple(dict.fromkeys(by_key))
        return (*self._edges_by_record(member, everyone), *by_key)

    def _edges_by_record(self, member: Member, everyone: dict[str, Member]) -> tuple[Edge, ...]:
        if member.record is None:
            return ()
        edges = []
        for link in member.record.belongs_to:
            for parent in everyone.values():
                if parent.record is None or parent.record.name != link.record:
                    continue
                if member.record.sources == parent.record.sources and member.relation.source != parent.relation.source:
                    continue
                referenced = link.references or (parent.relation.key[0] if len(parent.relation.key) == 1 else None)
                place = ("records", member.record.name, "belongs_to")
                if referenced is None:
                    self._findings.error(
                        self._policy,
                        place,
                        "no-single-key",
                        f"{parent.record.name} has no one-column primary key for {member.record.name} to belong to",
                    )
                elif self._binding.check_column(
                    self._policy, place, member.relation.source, member.table, link.column
                ) and self._binding.check_column(self._policy, place, parent.relation.source, parent.table, referenced):
                    edges.append(Edge(parent.relation.label, (referenced,), (link.column,)))
        return tuple(dict.fromkeys(edges))

    def _no_join(self, member: Member, everyone: dict[str, Member]) -> None:
        parents = listed(sorted(label for label in everyone if label != member.relation.label))
        self._findings.error(
            self._policy,
            member.place,
            "no-join",
            f"{member.relation.label} is in the cascade, but no foreign key or belongs_to leads from it to {parents}",
            "bind the table as a record with `belongs_to`, or take it out of the cascade",
        )

    def _check_reach(self, member: Member, everyone: dict[str, Member], *, self_declared: bool) -> None:
        """Notes the foreign keys and triggers that would reach, or refuse because of, something undeclared."""
        catalog = self._binding.catalogs[member.relation.source]
        names = {other.table.name for other in everyone.values() if other.relation.source == member.relation.source}
        for key in catalog.incoming.get(member.table.name, ()):
            itself = key.table == member.table.name and member.relation.label == next(iter(everyone))
            if key.table not in names or (itself and not self_declared):
                self._undeclared(member, key)
        for trigger in member.table.triggers:
            if "DELETE" not in trigger.events or not trigger.enabled:
                continue
            if trigger.kind == "trigger" and trigger.touches is not None and set(trigger.touches) <= names:
                continue
            touched = f"reaches {listed(trigger.touches, 'and')}" if trigger.touches else "cannot be looked into"
            self._findings.error(
                self._policy,
                member.place,
                "trigger-reach",
                f"the {trigger.kind} {trigger.name} acts on a deletion from {member.relation.label} and {touched}",
                "declare the tables it changes in `cascade`, or have it dropped or disabled",
            )

    def _undeclared(self, member: Member, key: ForeignKey) -> None:
        source, catalog = member.relation.source, self._binding.catalogs[member.relation.source]
        child = catalog.short(key.table)
        would = {
            "CASCADE": "would delete rows of",
            "SET NULL": "would empty a column of",
            "SET DEFAULT": "would change a column of",
        }.get(key.on_delete, "would be refused by rows of")
        table = catalog.tables.get(key.table)  # of another database of the server it is known by name only
        bound = self._binding.bound_to(source, table) if table else []
        record = next((record.name for policy, record in bound if policy is self._policy), child)
        owner = member.record.name if member.record else None
        paste = f"declare it: `cascade: [{record}]`" + (f" on record {owner}" if owner else "")
        self._findings.error(
            self._policy,
            member.place,
            "undeclared-reach",
            f"deleting from {member.relation.label} {would} {source}.{child} (foreign key {key.name})",
            paste,
        )


def _children_first(root: str, edges: dict[str, tuple[Edge, ...]]) -> list[str]:
    """The tables in an order in which none stands after one it refers to, as far as they do not form a cycle."""
    children: dict[str, list[str]] = {}
    for label, found in edges.items():
        for edge in found:
            children.setdefault(edge.parent, []).append(label)
    ordered: list[str] = []
    visited: set[str] = set()

    def visit(label: str, below: Iterable[str]) -> None:
        visited.add(label)
        for child in below:
            if child not in visited:
                visit(child, children.get(child, ()))
        ordered.append(label)

    visit(root, children.get(root, ()))
    for label in edges:
        if label not in visited:
            visit(label, children.get(label, ()))
    return [label for label in ordered if label in edges]
