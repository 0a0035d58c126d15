"""What triggers and rewrite rules would do beyond what a step says."""

from collections.abc import Collection, Iterator

from retentiond.catalog.model import Catalog, Table, Trigger
from retentiond.policy.wording import listed


def with_partitions(catalog: Catalog, table: Table) -> Iterator[Table]:
    """The table, and its partitions of all levels: some have triggers and foreign keys of their own."""
    yield table
    for name, _ in table.partitioning.partitions if table.partitioning else ():
        partition = catalog.tables.get(name)
        if partition is not None:
            yield from with_partitions(catalog, partition)


def acting(tables: Collection[Table], event: str) -> Iterator[Trigger]:
    """The triggers and rules that act on such a change of these tables' rows."""
    for table in tables:
        for trigger in table.triggers:
            if event in trigger.events and trigger.enabled:
                yield trigger


def unseen(trigger: Trigger) -> bool:
    """True where nobody can tell what it does."""
    return trigger.kind == "rule" or trigger.touches is None


def beyond(trigger: Trigger, going: Collection[str], near: Collection[str]) -> str | None:
    """
    What the trigger does that was not declared: it may delete rows of `going`, and change rows of `near` too.

    None where it does nothing of the kind.
    """
    if unseen(trigger):
        return "cannot be looked into"
    removed = [name for name in trigger.removes or () if name not in going]
    if removed:
        return f"deletes from {listed(removed, 'and')}"
    touched = [name for name in trigger.touches or () if name not in going and name not in near]
    return f"changes {listed(touched, 'and')}" if touched else None
