"""Records meet the live schema: which sources a record has, and which table it is there."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from retentiond.catalog.model import Catalog, Table
from retentiond.compiler.findings import Findings
from retentiond.compiler.plan import Relation
from retentiond.policy.model import Policy, Record
from retentiond.policy.wording import listed, nearest

_TRANSACTIONAL = ("innodb",)


class UnreachableError(Exception):
    """A source that could not be reached is needed; what rests on it cannot be planned."""

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(source)


class _Reached(dict[str, Catalog]):
    def __missing__(self, source: str) -> Catalog:
        raise UnreachableError(source)


class Binding:
    """The tables behind the records of all policies, by source. `others` are sources without a catalog."""

    def __init__(
        self,
        policies: tuple[Policy, ...],
        catalogs: Mapping[str, Catalog],
        others: Collection[str],
        findings: Findings,
    ) -> None:
        self.policies = policies
        self.catalogs = _Reached(catalogs)
        self._known = sorted({*catalogs, *others})
        self._findings = findings
        self._sources: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._bound: dict[tuple[str, str], list[tuple[Policy, Record]]] | None = None

    def sources(self, record: Record) -> tuple[str, ...]:
        """The sources of a record, patterns filled in from the known sources, in their order."""
        if record.sources not in self._sources:
            found = [name for pattern in record.sources for name in self._known if fnmatchcase(name, pattern)]
            self._sources[record.sources] = tuple(dict.fromkeys(found))
        return self._sources[record.sources]

    def reached(self, record: Record) -> tuple[str, ...]:
        """Those of the record's sources whose schema is known."""
        return tuple(source for source in self.sources(record) if source in self.catalogs)

    def check_sources(self, policy: Policy, record: Record) -> None:
        """Notes each name or pattern of a record that matches no source."""
        for pattern in record.sources:
            if not any(fnmatchcase(name, pattern) for name in self._known):
                what = "pattern matches no source" if "*" in pattern else "source is not in the settings"
                self._findings.error(
                    policy,
                    ("records", record.name, "source"),
                    "unknown-source",
                    f"this {what}: {pattern}",
                    nearest(pattern, self._known, "sources"),
                )

    def related_sources(self, near: Record, source: str, far: Record) -> tuple[str, ...]:
        """Where the rows of `far` related to a `near` row of `source` live: the same source if both name the same."""
        return (source,) if near.sources == far.sources else self.sources(far)

    def table(self, record: Record, source: str) -> Table | None:
        """The record's table in a source, or None."""
        return self.catalogs[source].find(record.table)

    def relation(self, policy: Policy, record: Record, source: str) -> Relation | None:
        """The record's table as statements need it; None, and a problem noted, where it cannot serve."""
        table = self.table(record, source)
        if table is None:
            catalog = self.catalogs[source]
            names = [catalog.short(name) for name in catalog.tables]
            self._findings.error(
                policy,
                ("records", record.name, "table"),
                "unknown-table",
                f"source {source} has no table {record.table}",
                nearest(record.table, names, "tables"),
            )
            return None
        return self.relation_of(source, table, record.key)

    def relation_of(self, source: str, table: Table, key: tuple[str, ...] | None = None) -> Relation:
        """A table of a source as statements need it."""
        catalog = self.catalogs[source]
        return Relation(
            source,
            catalog.dialect,
            table.name,
            catalog.short(table),
            table.columns,
            key or table.primary_key,
            catalog.features,
        )

    def check_target(
        self, policy: Policy, path: tuple[str | int, ...], source: str, table: Table, key: tuple[str, ...]
    ) -> None:
        """Notes why rows of a table cannot be changed safely."""
        for code, message, hint in target_problems(table, key):
            place = (*path[:-1], "key") if code in ("key-not-unique", "key-nullable", "key-unknown") else path
            label = f"{source}.{self.catalogs[source].short(table)}"
            self._findings.error(
                policy, place, code.replace("key-unknown", "unknown-column"), f"{label} {message}", hint
            )

    def check_column(self, policy: Policy, path: tuple[str | int, ...], source: str, table: Table, name: str) -> bool:
        """True where the column exists; else a problem is noted."""
        if table.column(name):
            return True
        label = f"{source}.{self.catalogs[source].short(table)}"
        known = [column.name for column in table.columns]
        self._findings.error(
            policy, path, "unknown-column", f"{label} has no column {name}", nearest(name, known, "columns")
        )
        return False

    def bound_to(self, source: str, table: Table) -> list[tuple[Policy, Record]]:
        """Every record of every policy that is this table."""
        if self._bound is None:
            self._bound = {}
            for policy in self.policies:
                for record in policy.records:
                    for known in self.reached(record):
                        if found := self.table(record, known):
                            self._bound.setdefault((known, found.name), []).append((policy, record))
        return self._bound.get((source, table.name), [])


def target_problems(table: Table, key: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Why the rows of a table must not be changed, as (code, what, remedy); empty where they may."""
    problems = []
    if table.kind not in ("table", "partitioned", "partition"):
        kind = "foreign or virtual table, not a plain one" if table.kind == "foreign" else f"{table.kind}, not a table"
        return [("not-a-table", f"is a {kind}", "bind the record to the table behind it")]
    if not key:
        problems.append(("no-key", "has no primary key", "name a unique, not-null key: `key: [columns]`"))
    elif key != table.primary_key:
        problems += _key_problems(table, key)
    if table.engine and table.engine.lower() not in _TRANSACTIONAL:
        hint = "ALTER TABLE … ENGINE=InnoDB"
        problems.append(("not-transactional", f"uses the engine {table.engine}, which cannot roll back", hint))
    if table.system_versioned:
        hint = "drop the system versioning, or exempt the table with a reason"
        problems.append(("keeps-history", "is system-versioned: its history would keep every row", hint))
    if table.inherited_by:
        children = listed(table.inherited_by, "and")
        hint = "bind the record to the tables that hold the rows"
        problems.append(("inherited", f"is inherited by {children}: a statement would reach their rows too", hint))
    return problems


def _key_problems(table: Table, key: tuple[str, ...]) -> list[tuple[str, str, str]]:
    unknown = [name for name in key if table.column(name) is None]
    if unknown:
        known = [column.name for column in table.columns]
        return [("key-unknown", f"has no column {unknown[0]} for its key", nearest(unknown[0], known, "columns"))]
    problems = []
    if not table.is_unique(key):
        hint = "a unique index over exactly these columns is needed"
        problems.append(("key-not-unique", f"has no unique index over its key {listed(key, 'and')}", hint))
    nullable = [name for name in key if (column := table.column(name)) and column.nullable]
    if nullable:
        hint = "ALTER TABLE … SET NOT NULL"
        problems.append(("key-nullable", f"allows NULL in its key column {nullable[0]}", hint))
    return problems
