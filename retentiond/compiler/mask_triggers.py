"""What a table's triggers and rules would do to a mask: reach other rows, move a clock, undo what was written."""

from collections.abc import Collection, Iterator

from retentiond.catalog.model import Table, Trigger
from retentiond.compiler.mask_fit import Complaint
from retentiond.compiler.mask_keys import clock_columns
from retentiond.compiler.triggers import acting, beyond
from retentiond.policy.model import Action, Policy, Record
from retentiond.policy.wording import listed


def trigger_complaints(
    action: Action, record: Record, tables: Collection[Table], policy: Policy
) -> Iterator[tuple[str | None, Complaint]]:
    """What is wrong with masking rows of these tables (one, and its partitions), each with the column it concerns."""
    own = {table.name for table in tables}
    clocks = clock_columns(policy, record)
    for trigger in acting(tables, "UPDATE"):
        if found := beyond(trigger, (), own):
            message = f"the {trigger.kind} {trigger.name} acts on a change of {record.table} and {found}"
            yield None, Complaint("trigger-reach", message, "have it dropped or disabled")
            continue
        moved = _set_by(trigger, clocks)
        if moved:
            yield (
                None,
                Complaint(
                    "clock-changed",
                    f"any change of {record.table} lets the trigger {trigger.name} set {listed(moved, 'and')}, "
                    f"a clock of rule {clocks[moved[0]]}",
                    "let the rule read another column, or have the trigger dropped or disabled",
                ),
            )
        for name in _set_by(trigger, dict(action.methods)) if trigger.sets is not None else ():
            message = f"the trigger {trigger.name} sets {name} too: it may undo what the mask writes"
            yield name, Complaint("may-be-undone", message, severity="warning")
        if record.marker and record.marker in (trigger.sets or ()):
            message = f"the trigger {trigger.name} sets the marker {record.marker}: rows would pass for finished"
            yield None, Complaint("bad-marker", message)


def _set_by(trigger: Trigger, columns: Collection[str]) -> list[str]:
    """Those of the columns that the trigger may set, whatever the case their names are written in."""
    if trigger.sets is None:
        return list(columns)
    known = {name.casefold() for name in trigger.sets}
    return [name for name in columns if name.casefold() in known]
