"""Which records a deletion takes along, and which tables are the same."""

from fnmatch import fnmatchcase

from retentiond.policy.model import Policy, Record, Rule


def destroyed(policy: Policy, rule: Rule) -> tuple[tuple[Record, Record | None], ...]:
    """The records a deleting rule destroys rows of, each with the record whose deletion takes it; its own first."""
    if rule.action.verb != "delete":
        return ()
    names = {record.name: record for record in policy.records}
    first = names[rule.record]
    found: list[tuple[Record, Record | None]] = [(first, None)]
    seen = {first.name}
    for parent, _ in found:
        for name in parent.cascade:
            if name in names and name not in seen:
                seen.add(name)
                found.append((names[name], parent))
    return tuple(found)


def same_table(one: Record, other: Record) -> bool:
    """True where both records surely lie on one table of one source; of two globs only the compiler knows."""
    if one.name == other.name:
        return True
    return one.table == other.table and any(
        left == right or fnmatchcase(left, right) or fnmatchcase(right, left)
        for left in one.sources
        for right in other.sources
    )
