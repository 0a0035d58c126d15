"""
The one gate: the only function that commits a destructive transaction.

Rules, cascades, masks and replay pass through it, requests will. What must be asked or recorded around a commit is in
`engine.protocol`, which alone calls this.
"""

from collections.abc import Sequence

from retentiond.catalog.faults import errors_of
from retentiond.engine.session import Transaction
from retentiond.engine.steps import reached


def commit(transaction: Transaction, order: Sequence[str]) -> None:
    """
    Commits a chunk's changes source by source, in the order given: children's sources before their parents'.

    A crash between two of them leaves parents without children that were due to go anyway; the next run goes on.
    """
    for source in order:
        begun = transaction.begun.get(source)
        if begun is not None:
            reached("commit.before")
            with errors_of(source):
                begun.commit()
            del transaction.begun[source]
            reached("commit.after")
