"""Whether an `anonymise` deserves its name: nobody can tell any more whose the row was."""

from collections.abc import Iterator

from retentiond.catalog.model import Table
from retentiond.compiler.mask_fit import Complaint
from retentiond.policy.model import Action, Method, Record
from retentiond.policy.wording import listed

# Something of the person stays readable, or can be computed again.
_WAYS_BACK = frozenset({"token", "mask", "domain", "redact"})


def anonymous_complaints(action: Action, record: Record, table: Table) -> Iterator[tuple[str | None, Complaint]]:
    """Why the row would still be somebody's, each with the column whose method is to blame, if there is one."""
    yield from _links(action, record, table)
    for name, method in action.methods:
        for way in sorted(set(_ways_back(method))):
            yield (
                name,
                Complaint(
                    "not-anonymous",
                    f"`{way}` on {name} leaves a way back to the person",
                    "use `empty`, `random` or a constant, or say `pseudonymise`",
                ),
            )
    # What has neither primary key nor `key` is refused elsewhere.
    key = table.primary_key or record.key or ()
    said = {*(name for name, _ in action.methods), *action.leave, *key, record.marker, record.held}
    linked = {record.subject_column, *(link.column for link in record.belongs_to)}
    unsaid = [column.name for column in table.columns if column.name not in said | linked]
    # A name that no column has is another's problem, and may be meant for one of these.
    misnamed = any(name is not None and table.column(name) is None for name in said | linked)
    if unsaid and not misnamed:
        yield (
            None,
            Complaint(
                "column-undecided",
                f"anonymise says nothing of {listed(unsaid, 'and')}",
                f"give each a method, or paste what may stay: leave: [{', '.join([*action.leave, *unsaid])}]",
            ),
        )


def _links(action: Action, record: Record, table: Table) -> Iterator[tuple[str | None, Complaint]]:
    """The columns that say whose the row is: emptied, or the row's own and only key."""
    methods = dict(action.methods)
    columns = [record.subject_column, *(link.column for link in record.belongs_to)]
    for name in dict.fromkeys(column for column in columns if column is not None):
        if table.column(name) is None:
            continue
        if table.primary_key == (name,) or (not table.primary_key and record.key == (name,)):
            continue
        method = methods.get(name)
        if method is None or method.name != "empty":
            yield (
                name if method else None,
                Complaint("not-anonymous", f"{name} says whose the row is and has to be emptied", f"{name}: empty"),
            )


def _ways_back(method: Method) -> Iterator[str]:
    if method.name in _WAYS_BACK:
        yield method.name
    for _, inner in method.inside:
        yield from _ways_back(inner)
