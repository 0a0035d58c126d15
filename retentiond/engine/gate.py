"""
The one gate: the only function that commits a destructive transaction.

Rules, cascades and masks pass through it today; requests and replay will. What must be asked or recorded between the
change and its commit – holds, the stop switch, the intent in the ledger – belongs here and nowhere else.
"""

from collections.abc import Sequence

from retentiond.catalog.faults import errors_of
from retentiond.engine.session import Transaction


def commit(transaction: Transaction, order: Sequence[str]) -> None:
    """
    Commits a chunk's changes source by source, in the order given: children's sources before their parents'.

    A crash between two of them leaves parents without children that were due to go anyway; the next run goes on.
    """
    for source in order:
        begun = transaction.begun.get(source)
        if begun is not None:
            with errors_of(source):
                begun.commit()
            del transaction.begun[source]
