"""Which columns of a table a mask may not change, because something else rests on their values."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from retentiond.catalog.model import Column, ForeignKey, Table
from retentiond.compiler.mask_fit import Complaint
from retentiond.policy.model import Method, Policy, Record


def clock_columns(policy: Policy, record: Record) -> dict[str, str]:
    """The clock columns on the record's table, own or read through a relation, each with a rule that reads it."""
    clocks: dict[str, str] = {}
    owners = {term.clock.moment.record or rule.record for rule in policy.rules for term in rule.keep.terms}
    sharing = {name for name in owners if share_table(policy.record(name), record)}
    for rule in policy.rules:
        for term in rule.keep.terms:
            moment = term.clock.moment
            if (moment.record or rule.record) in sharing:
                clocks.setdefault(moment.column, rule.name)
    return clocks


def share_table(one: Record, other: Record) -> bool:
    """True where two records may be bound to one table of one source; patterns and bare names count as hits."""
    if one.table.rpartition(".")[2].casefold() != other.table.rpartition(".")[2].casefold():
        return False
    tables = {one.table.casefold(), other.table.casefold()}
    if len(tables) > 1 and all("." in table for table in tables):
        return False
    return any(fnmatchcase(a, b) or fnmatchcase(b, a) for a in one.sources for b in other.sources)


def key_complaints(
    column: Column, method: Method, record: Record, table: Table, incoming: tuple[ForeignKey, ...], policy: Policy
) -> Iterator[Complaint]:
    """Why this column may not be changed by this method; nothing where it may."""
    name = column.name
    if name in table.primary_key or name in (record.key or ()):
        yield Complaint("key-changed", f"{name} is part of the key of {record.name}: a row may not change its identity")
        return
    if column.generated:
        yield Complaint("generated-changed", f"{name} is generated from other columns", "change those")
    for key in incoming:
        if name in key.referenced_columns:
            yield Complaint("referenced-changed", f"{name} is referenced by {key.table} ({key.name})")
    for other in policy.records:
        if any(link.record == record.name and link.references == name for link in other.belongs_to):
            yield Complaint("referenced-changed", f"{name} is what record {other.name} belongs to")
    if method.name != "empty":
        yield from _foreign_complaints(name, record, table)
    clocks = clock_columns(policy, record)
    if name in clocks:
        yield Complaint("clock-changed", f"{name} is a clock of rule {clocks[name]}")
    if name == record.held:
        yield Complaint("hold-changed", f"{name} says hands off (`held`), and no rule may say otherwise")
    if name == record.marker:
        yield Complaint("marker-changed", f"{name} is the marker; it is set with the other columns")


def _foreign_complaints(name: str, record: Record, table: Table) -> Iterator[Complaint]:
    hint = "a foreign key can only be emptied"
    found = next((key for key in table.foreign_keys if name in key.columns), None)
    if found is not None:
        yield Complaint("foreign-key-changed", f"{name} references {found.referenced} ({found.name})", hint)
        return
    link = next((link for link in record.belongs_to if link.column == name), None)
    if link is not None:
        yield Complaint("foreign-key-changed", f"{name} says which {link.record} the row belongs to", hint)


def moving_clocks(record: Record, table: Table, policy: Policy) -> Iterator[Complaint]:
    """The clocks that any change of a row sets to now (measured: an anonymised row would start its period again)."""
    clocks = clock_columns(policy, record)
    for column in table.columns:
        if column.on_update and column.name in clocks:
            yield Complaint(
                "clock-changed",
                f"any change of {record.table} sets {column.name} to now (ON UPDATE CURRENT_TIMESTAMP), "
                f"and it is a clock of rule {clocks[column.name]}",
                "let the rule read another column, or drop the ON UPDATE",
            )
