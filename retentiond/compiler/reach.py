"""
What the database would do beyond a declared cascade: delete more, refuse, or let a trigger act.

Each is a problem that says which table to declare.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from retentiond.catalog.model import ForeignKey, Table
from retentiond.compiler.binding import Binding
from retentiond.compiler.findings import Findings
from retentiond.compiler.plan import Relation
from retentiond.compiler.triggers import acting, beyond, with_partitions
from retentiond.policy.model import Policy, Record

Place = tuple[str | int, ...]

_WOULD = {
    "CASCADE": "would delete rows of",
    "SET NULL": "would empty a column of",
    "SET DEFAULT": "would change a column of",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One table of a cascade. `record` is None for a table that the policy only names; `place` is where it does."""

    relation: Relation
    table: Table
    record: Record | None
    place: Place

    @property
    def label(self) -> str:
        """`source.table`."""
        return self.relation.label


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached in one source: rows of the tables `going`; rows of the cascade's root may be changed."""

    policy: Policy
    binding: Binding
    findings: Findings
    going: Collection[str]
    root: Collection[str]
    everyone: Collection[Member]

    def check(self, member: Member, *, unlinked: bool) -> None:
        """Notes what deleting the member's rows – and before that emptying columns, if `unlinked` – would reach."""
        catalog = self.binding.catalogs[member.relation.source]
        tables = list(with_partitions(catalog, member.table))
        for key in self._missing(member):
            self._undeclared(member, key)
        events = ("DELETE", "UPDATE") if unlinked else ("DELETE",)
        for event in events:
            for trigger in acting(tables, event):
                if found := beyond(trigger, self.going, self.root):
                    what = "a deletion from" if event == "DELETE" else "a change of"
                    self.findings.error(
                        self.policy,
                        member.place,
                        "trigger-reach",
                        f"the {trigger.kind} {trigger.name} acts on {what} {member.label} and {found}",
                        "declare the tables it changes in `cascade`, or have it dropped or disabled",
                    )

    def _missing(self, member: Member) -> Iterator[ForeignKey]:
        """The foreign keys by which rows of undeclared tables point at the member's."""
        catalog = self.binding.catalogs[member.relation.source]
        for table in with_partitions(catalog, member.table):
            for key in catalog.incoming.get(table.name, ()):
                if key.table not in self.going:
                    yield key

    def _undeclared(self, member: Member, key: ForeignKey) -> None:
        source, catalog = member.relation.source, self.binding.catalogs[member.relation.source]
        would = _WOULD.get(key.on_delete, "would be refused by rows of")
        owner = _owner(member)
        if key.table not in catalog.tables:  # of another database of the server it is known by name only
            hint = "retentiond reaches no table of another database: have the foreign key dropped"
        else:
            hint = f"declare it on record {owner}: `cascade: [{', '.join(self._to_declare(owner, source))}]`"
        self.findings.error(
            self.policy,
            member.place,
            "undeclared-reach",
            f"deleting from {member.label} {would} {source}.{catalog.short(key.table)} (foreign key {key.name})",
            hint,
        )

    def _to_declare(self, owner: str | int, source: str) -> list[str]:
        """What the record's cascade has to name: the same whole list in every finding, to paste once."""
        catalog = self.binding.catalogs[source]
        names = dict.fromkeys(
            next((record.cascade for record in self.policy.records if record.name == owner), ()), None
        )
        for member in self.everyone:
            if member.relation.source == source and _owner(member) == owner:
                for key in self._missing(member):
                    if table := catalog.tables.get(key.table):
                        bound = self.binding.bound_to(source, table)
                        records = (record.name for policy, record in bound if policy is self.policy)
                        names[next(records, catalog.short(key.table))] = None
        return list(names)


def _owner(member: Member) -> str | int:
    """A table that is only named has no `cascade` of its own: whoever names it can name its children too."""
    return member.record.name if member.record else member.place[1]
