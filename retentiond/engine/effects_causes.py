"""What took rows along, or stood in the way, by name: the live schema is searched for a way that leads there."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from retentiond.catalog.model import Catalog, ForeignKey, Table
from retentiond.catalog.reflection import reflect
from retentiond.compiler.plan import Job
from retentiond.compiler.triggers import acting, unseen, with_partitions
from retentiond.engine.effects_values import Share, What, Widening
from retentiond.engine.sources import Sources
from retentiond.errors import RetentiondError
from retentiond.policy.wording import listed

_SYSTEM = ("pg_catalog.", "information_schema.")
_ACTING = ("CASCADE", "SET NULL", "SET DEFAULT")
_MOST_NAMED = 5


def schema_of(sources: Sources, source: str) -> Catalog | None:
    """The schema as it is now; None where it cannot be read: then nothing can be named."""
    try:
        return reflect(sources.reading(source), source)
    except RetentiondError:
        return None


def obstacles(job: Job, sources: Sources) -> str:
    """
    What keeps rows from being deleted or masked by this job, as a hint. The schemas are read anew: it may have come
    since, and may be gone again.
    """
    event = "UPDATE" if job.step.masking else "DELETE"
    catalogs = {source: schema_of(sources, source) for source in job.sources}
    if None in catalogs.values():
        return "a trigger, rule or row-level security stands in the way"
    found: dict[str, None] = {}
    for relation in (step.relation for step in (*job.cascade, job.step)):
        catalog = catalogs[relation.source]
        if catalog and (table := catalog.tables.get(relation.name)):
            found |= dict.fromkeys(_in_the_way(catalog, table, relation.label, event))
    if not found:
        return "no trigger, rule or row-level security is to be seen that stands in the way"
    return f"{listed(found)} stands in the way"


def _in_the_way(catalog: Catalog, table: Table, label: str, event: str) -> Iterator[str]:
    for trigger in acting(list(with_partitions(catalog, table)), event):
        if trigger.timing in ("BEFORE", "INSTEAD OF"):
            yield f"the {trigger.kind} {trigger.name} of {label}"
    if table.row_security:
        yield f"row-level security of {label}"


def undeclared_keys(catalog: Catalog, share: Share) -> list[ForeignKey]:
    """The foreign keys through which what was changed takes rows along that the job did not collect."""
    found = []
    for name in share.deleted:
        table = catalog.tables.get(name)
        for part in with_partitions(catalog, table) if table else ():
            for key in catalog.incoming.get(part.name, ()):
                pairs = list(zip(key.columns, key.referenced_columns, strict=True))
                declared = share.declares(name, key.table, pairs)
                taken = share.deleted[name] and key.on_delete in _ACTING and not declared
                moved = share.updated[name] and key.on_update in _ACTING
                if taken or (moved and set(share.columns(name)) & set(key.referenced_columns)):
                    found.append(key)
    return found


def described(widenings: Iterable[Widening], share: Share, catalog: Catalog | None) -> str:
    """One sentence for all widenings, with what brought them about where the schema shows it."""
    found = list(widenings)
    ways = _Ways(catalog, share) if catalog else None
    named = any(widening.table for widening in found)
    suspects = f", perhaps {ways.listed(share)}" if ways and ways.found and not named else ""
    return "; ".join(dict.fromkeys(_sentence(one, share, catalog, ways, suspects) for one in found))


def _sentence(widening: Widening, share: Share, catalog: Catalog | None, ways: "_Ways | None", suspects: str) -> str:
    table, what, rows = widening.table, widening.what, widening.rows
    if table is None:
        if rows is not None and rows < 0:
            return f"{share.source}: {-rows} rows fewer were {what} than the database reported"
        by = f" by {widening.by}" if widening.by else suspects
        return f"{share.source}: {_counted(rows)} would also be {what}{by}"
    if table.startswith(_SYSTEM):
        return f"{share.source}: something creates, drops or empties tables, or large objects"
    label = share.labels.get(table) or f"{share.source}.{catalog.short(table) if catalog else table}"
    if rows is not None and rows < 0:
        return f"{label}: {-rows} rows fewer were {what} than the database reported"
    by = widening.by or (ways.by(table, what) if ways else "")
    return f"{label}: {_counted(rows)} would also be {what}{f' by {by}' if by else ''}"


def _counted(rows: int | None) -> str:
    return "rows" if rows is None else "1 row" if rows == 1 else f"{rows} rows"


@dataclass(frozen=True, slots=True)
class _Way:
    table: str
    what: What
    by: str


class _Ways:
    """What changes of the job's rows lead to, step by step."""

    def __init__(self, catalog: Catalog, share: Share) -> None:
        self._catalog = catalog
        self.found: list[_Way] = []
        self._dark: list[str] = []
        seeds = [(table, "DELETE") for table, rows in share.deleted.items() if rows]
        seeds += [(table, "UPDATE") for table, rows in share.updated.items() if rows]
        self._columns = {table: share.columns(table) for table in share.updated}
        self._follow(seeds)

    def by(self, table: str, what: What) -> str:
        """What changes the table in that way."""
        here = [way for way in self.found if way.table == table or table in self._family(way.table)]
        for way in sorted(here, key=lambda way: (way.what != what, way.what != "changed")):
            return way.by
        if (known := self._catalog.tables.get(table)) and known.inherits:
            return f"inheritance from {listed([self._catalog.short(name) for name in known.inherits], 'and')}"
        return f"{self._dark[0]}, which cannot be looked into" if self._dark else ""

    def listed(self, share: Share) -> str:
        """The tables that are reached, those of the job last."""
        foreign = [way for way in self.found if way.table not in share.deleted] or self.found
        named = [f"{share.source}.{self._catalog.short(way.table)} (by {way.by})" for way in foreign]
        return listed(list(dict.fromkeys(named))[:_MOST_NAMED], "and")

    def _family(self, table: str) -> Collection[str]:
        known = self._catalog.tables.get(table)
        return [part.name for part in with_partitions(self._catalog, known)] if known else ()

    def _follow(self, seeds: Iterable[tuple[str, str]]) -> None:
        waiting, met = deque(seeds), set()
        first = set(seeds)
        while waiting:
            name, event = waiting.popleft()
            table = self._catalog.tables.get(name)
            if table is None or (name, event) in met:
                continue
            met.add((name, event))
            parts = list(with_partitions(self._catalog, table))
            masked = self._columns.get(name) if (name, event) in first else None
            for way, next_event in (*self._by_keys(parts, event, masked), *self._by_triggers(parts, event)):
                self.found.append(way)
                waiting.append((way.table, next_event))

    def _by_keys(
        self, parts: Iterable[Table], event: str, columns: Collection[str] | None
    ) -> Iterator[tuple[_Way, str]]:
        for part in parts:
            for key in self._catalog.incoming.get(part.name, ()):
                action = key.on_delete if event == "DELETE" else key.on_update
                untouched = event == "UPDATE" and columns is not None and not set(columns) & set(key.referenced_columns)
                if action in _ACTING and not untouched:
                    goes = event == "DELETE" and action == "CASCADE"
                    by = f"the foreign key {key.name} (ON {event} {action})"
                    yield _Way(key.table, "deleted" if goes else "updated", by), "DELETE" if goes else "UPDATE"

    def _by_triggers(self, parts: list[Table], event: str) -> Iterator[tuple[_Way, str]]:
        for trigger in acting(parts, event):
            by = f"the {trigger.kind} {trigger.name} of {self._catalog.short(parts[0])}"
            if unseen(trigger):
                self._dark.append(by)
            for table in trigger.touches or ():
                removes = table in (trigger.removes or ())
                yield _Way(table, "deleted" if removes else "changed", by), "DELETE" if removes else "UPDATE"
