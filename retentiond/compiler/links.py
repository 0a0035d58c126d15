"""What a `belongs_to` joins: one column that names one row, and two columns of one kind."""

from collections.abc import Iterable, Sequence

from retentiond.catalog.model import Column, Family, Table
from retentiond.compiler.findings import Findings
from retentiond.policy.model import Link, Policy

_INTEGERS = (Family.INTEGER, Family.DECIMAL, Family.BOOLEAN)
_WORDS = (Family.TEXT, Family.UUID, Family.TEXT_DATE, Family.TEXT_DATETIME)


def key_column(link: Link, child: str, parents: Sequence[Table], policy: Policy, findings: Findings) -> str | None:
    """The column of the parent that the link holds: the named unique one, or the one-column primary key."""
    place = ("records", child, "belongs_to", link.record)
    for parent in parents:
        if link.references and parent.column(link.references) and not parent.is_unique((link.references,)):
            message = f"{link.record}.{link.references} is not unique: it would name many rows"
            findings.error(policy, place, "not-unique", message)
            return None
        if not link.references and len(parent.primary_key) != 1:
            findings.error(
                policy,
                place,
                "no-single-key",
                f"{link.record} has no one-column primary key for {child} to belong to",
                f"name a unique column: {{{link.record}: {{COLUMN: {link.column}}}}}",
            )
            return None
    return link.references or parents[0].primary_key[0]


def fits(
    ends: Iterable[tuple[str, Column | None]], place: tuple[str | int, ...], policy: Policy, findings: Findings
) -> bool:
    """True where all columns, each with its record's name, hold keys of one kind; else a problem is noted."""
    known = [(record, column) for record, column in ends if column is not None]
    kinds = {join_kind(column.family) for _, column in known}
    if len(kinds) <= 1:
        return True
    sides = " and ".join(dict.fromkeys(f"{record}.{column.name}" for record, column in known))
    findings.error(policy, place, "unlike-keys", f"{sides} do not join: they hold {' and '.join(sorted(kinds))}")
    return False


def join_kind(family: Family) -> str:
    """What a key column holds, for joins across engines: numbers, text, or the family itself."""
    if family in _INTEGERS:
        return "numbers"
    return "text" if family in _WORDS else str(family)
