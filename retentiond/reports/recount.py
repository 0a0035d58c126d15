"""
The independent count of a certificate: of the rows that the ledger says went, how many are in the tables now.

It rests on the tokens alone, not on the rule: whatever brought a row back, or kept it, is found.
"""

from collections.abc import Iterable
from datetime import datetime

from retentiond.compiler.plan import Job
from retentiond.engine.custody import ledger_label
from retentiond.engine.recognition import Batch, recognise, token_lists
from retentiond.engine.session import Session
from retentiond.errors import EvidenceError, RetentiondError
from retentiond.reports.certificate import Recount
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.ledger import Ledger


def not_counted(*why: str) -> Recount:
    """What a certificate says where nobody counted again."""
    return Recount(None, {}, why)


def recount(
    job: Job, batches: Iterable[Batch], ledger: Ledger, keys: KeyRing, session: Session, now: datetime
) -> Recount:
    """
    The count for these batches of the job, as far as it can be made.

    Raises:
        EvidenceError: where a list of tokens is not the one that its intent names.
    """
    by_label, dropped = token_lists(batches, ledger)
    steps = {ledger_label(step.relation): step for step in (*job.cascade, job.step)}
    tables: dict[str, tuple[int, int]] = {}
    why_not = [f"{dropped} batches, whose tokens were dropped when their time was over"] if dropped else []
    for label, lists in sorted(by_label.items()):
        if label not in steps:
            why_not.append(f"{label}, which the rule no longer reaches")
            continue
        try:
            found = recognise(steps[label], lists, keys, session)
        except EvidenceError:
            raise
        except RetentiondError as error:
            why_not.append(f"{label}: {error.message}")
            continue
        if found.lost:
            why_not.append(
                f"{found.lost:,} rows of {label}: the key of their tokens was destroyed when its time was over"
            )
        if found.asked:
            tables[label] = (found.asked, len(found.keys))
    return Recount(now if tables else None, tables, tuple(why_not))
