"""
How rows belong to a data subject: the tables of one policy, and the ways from each up to those that name the subject.

A way is a `belongs_to`, or a foreign key inside a cascade that belongs to the subject. Ways are looked for from below,
table by table, so that only what a job touches has to be reachable.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from retentiond.catalog.model import Table
from retentiond.compiler.binding import Binding, UnreachableError
from retentiond.compiler.findings import Findings
from retentiond.compiler.links import key_column
from retentiond.compiler.plan import HoldHop, Relation
from retentiond.compiler.triggers import with_partitions
from retentiond.policy.model import Link, Policy, Record

Node = tuple[str, str]
"""A table: its source and its name in the catalog; of a partition, those of the whole table."""


def whole_table(binding: Binding, source: str, name: str) -> Table:
    """The table, or the one that it is a partition of."""
    tables = binding.catalogs[source].tables
    table = tables[name]
    while table.partition_of and table.partition_of in tables:
        table = tables[table.partition_of]
    return table


def bound_records(binding: Binding, source: str, name: str) -> Iterator[tuple[Policy, Record]]:
    """Every record of every policy that is this table, or shares rows with it as a partition does."""
    for table in with_partitions(binding.catalogs[source], whole_table(binding, source, name)):
        yield from binding.bound_to(source, table)


@dataclass(frozen=True, slots=True)
class SubjectTable:
    """A table on the way: by which of its columns a row names the subject, and the ways up from it."""

    relation: Relation
    columns: tuple[str, ...]
    ways: tuple[HoldHop, ...]


class SubjectGraph:
    """The tables of one policy that belong to one type of subject."""

    def __init__(self, policy: Policy, subject_type: str, binding: Binding) -> None:
        self._policy = policy
        self._type = subject_type
        self._binding = binding
        self._records = {record.name: record for record in policy.records}
        self._belonging = _belonging(self._records, subject_type)
        self._kin: list[set[Node]] | None = None
        self._tables: dict[Node, SubjectTable] = {}

    def table(self, relation: Relation) -> SubjectTable:
        """
        What leads from the relation to the subject.

        Raises:
            UnreachableError: where a source that this rests on cannot be reached.
        """
        whole = whole_table(self._binding, relation.source, relation.name)
        node = (relation.source, whole.name)
        if node not in self._tables:
            bound = bound_records(self._binding, *node)
            records = [record for policy, record in bound if policy.name == self._policy.name]
            own = [record for record in records if record.subject_type == self._type and record.subject_column]
            columns = dict.fromkeys(record.subject_column for record in own if record.subject_column)
            ways = dict.fromkeys([*self._links(relation, records), *self._in_cascades(node, whole)])
            self._tables[node] = SubjectTable(relation, tuple(columns), tuple(ways))
        return self._tables[node]

    def node(self, relation: Relation) -> Node:
        """Which table a relation is."""
        return relation.source, whole_table(self._binding, relation.source, relation.name).name

    def _links(self, relation: Relation, records: list[Record]) -> Iterator[HoldHop]:
        for record in records:
            for link in record.belongs_to:
                parent = self._records[link.record]
                if parent.name in self._belonging:
                    sources = self._binding.related_sources(record, relation.source, parent)
                    if not sources:  # nobody knows of any, and so nobody can say that no way leads there
                        raise UnreachableError(parent.sources[0])
                    for source in sources:
                        yield from self._link(record, link, parent, source)

    def _link(self, record: Record, link: Link, parent: Record, source: str) -> Iterator[HoldHop]:
        table = self._binding.table(parent, source)
        far = self._binding.relation(self._policy, parent, source)
        if table is not None and far is not None:
            column = key_column(link, record.name, [table], self._policy, Findings())
            if column is not None:
                yield HoldHop((link.column,), far, (column,))

    def _in_cascades(self, node: Node, whole: Table) -> Iterator[HoldHop]:
        """The foreign keys by which rows go with others of a cascade that belongs to the subject."""
        if self._kin is None:
            self._kin = list(self._cascades())
        source = node[0]
        near = [kin for kin in self._kin if node in kin]
        for table in with_partitions(self._binding.catalogs[source], whole) if near else ():
            for key in table.foreign_keys:
                if key.referenced in self._binding.catalogs[source].tables:
                    far = whole_table(self._binding, source, key.referenced)
                    if any((source, far.name) in kin for kin in near):
                        yield HoldHop(key.columns, self._relation(source, far), key.referenced_columns)

    def _relation(self, source: str, table: Table) -> Relation:
        """A table of a cascade as its record says, where it has one."""
        bound = self._binding.bound_to(source, table)
        keys = (record.key for policy, record in bound if policy.name == self._policy.name)
        return self._binding.relation_of(source, table, next(keys, None))

    def _cascades(self) -> Iterator[set[Node]]:
        """The tables of each cascade that begins at a record belonging to the subject; no part of another one."""
        seen: set[str] = set()
        named = {name for record in self._records.values() for name in record.cascade}
        for first in sorted(self._belonging, key=lambda name: name in named):
            if first in seen or not self._records[first].cascade:
                continue
            names, kin = [first], set[Node]()
            for name in names:  # grows as it is walked over
                record = self._records[name]
                kin |= set(self._nodes(record))
                names += [child for child in record.cascade if child in self._records and child not in names]
                kin |= {
                    (source, table.name)
                    for source in self._binding.reached(record)
                    for child in record.cascade
                    if child not in self._records and (table := self._binding.catalogs[source].find(child))
                }
            seen.update(names)
            yield kin

    def _nodes(self, record: Record) -> Iterator[Node]:
        for source in self._binding.reached(record):
            if table := self._binding.table(record, source):
                yield source, whole_table(self._binding, source, table.name).name


def _belonging(records: Mapping[str, Record], subject_type: str) -> frozenset[str]:
    """The records of that type of subject, all that belong to one, and what goes with any of these."""
    below: dict[str, list[str]] = {name: list(record.cascade) for name, record in records.items()}
    for name, record in records.items():
        for link in record.belongs_to:
            below[link.record].append(name)
    found = {name for name, record in records.items() if record.subject_type == subject_type}
    waiting = list(found)
    while waiting:
        new = {name for name in below[waiting.pop()] if name in records} - found
        found |= new
        waiting += new
    return frozenset(found)
