"""
One chunk: lock, examine, and – in a real run only – change, look again, commit.

The dry run is this code with the write branch off: the same keys, the same questions, the same counts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Job
from retentiond.engine import change
from retentiond.engine.count import Tally, walks
from retentiond.engine.examine import Candidate, due_days, examine, oldest_due
from retentiond.engine.family import Family, Node, gather, needed_columns
from retentiond.engine.protocol import Attempt, Protocol
from retentiond.engine.retry import is_locked, retried
from retentiond.engine.session import Session, Transaction
from retentiond.engine.steps import reached
from retentiond.errors import FailedError, RefusedError, RetentiondError

# Codes of errors that one row's content brings about: SQLSTATE classes, MariaDB numbers, SQLite names, our own.
_OF_A_ROW = (
    "22",
    "23",
    "P0",
    "09",
    "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH",
    "SQLITE_TOOBIG",
    "mask",
    "count-mismatch",
    "bad-value",
)
_OF_A_ROW_MYSQL = frozenset({"1048", "1062", "1169", "1216", "1217", "1264", "1265", "1292", "1364", "1366"}) | {
    *("1367", "1406", "1411", "1451", "1452", "1525", "1586", "1644", "1690", "3819", "4025")
}


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """
    What one transaction did, or in a dry run would have done: rows of the job's own by class, `done` of them changed,
    `tables` all that went by source.table, `set_aside` the rows that an error kept. Durations in seconds.
    """

    due: int = 0
    held: int = 0
    floored: int = 0
    not_started: int = 0
    suspect: int = 0
    done: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    oldest_due: datetime | None = None
    seconds: float = 0.0
    retries: int = 0


@dataclass(slots=True)
class Workshop:
    """What chunks of one job share: where they run, the token key, and what the dry run has already counted."""

    job: Job
    at: datetime
    session: Session
    key: bytes
    batch: int
    protocol: Protocol | None = None  # None in a dry run
    most: int | None = None  # how many rows the guards' verdict covers
    taken: int = 0
    seen: dict[str, set[Key]] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep

    @property
    def shared(self) -> bool:
        """True where a row of the cascade may be reached from rows of two chunks."""
        return any(len(step.edges) > 1 for step in self.job.cascade) or any(
            step.relation.label == self.job.step.relation.label for step in self.job.cascade
        )


def process(workshop: Workshop, keys: Sequence[Key], *, patient: bool = True) -> ChunkResult:
    """
    The result of one chunk, tried again after deadlocks, lost connections and changes of related rows; after a wait
    for a lock in vain only where `patient`.

    Raises:
        TransientError: after the last attempt. FailedError: at once. Both leave nothing behind.
    """
    started = time.monotonic()
    result, retries = retried(lambda: _once(workshop, keys), patient=patient, sleep=workshop.sleep)
    return replace(result, seconds=time.monotonic() - started, retries=retries)


def due_keys(workshop: Workshop, keys: Sequence[Key]) -> list[Key]:
    """Those of the keys whose rows are due and not kept by anything."""
    with workshop.session.transaction() as transaction:
        return [candidate.key for candidate in _decide(workshop, transaction, keys).due]


def is_of_a_row(error: RetentiondError) -> bool:
    """True where the content of single rows, not the job, may be what the database refused."""
    if is_locked(error):
        return True
    return isinstance(error, FailedError) and (error.code.startswith(_OF_A_ROW) or error.code in _OF_A_ROW_MYSQL)


@dataclass(slots=True)
class _Decision:
    """What was found of a chunk: its due rows, what goes with them, and how many stand in each class."""

    due: list[Candidate]
    family: Family
    going: set[Node]
    tally: Tally


def _once(workshop: Workshop, keys: Sequence[Key]) -> ChunkResult:
    protocol = workshop.protocol
    with workshop.session.transaction() as transaction:
        if protocol is None:
            decision = _decide(workshop, transaction, keys)
            return _result(decision.tally, len(decision.due), 0, _would_go(workshop, transaction, decision))
        started, epoch = time.monotonic(), protocol.epoch()
        # After the epoch was read: what is placed later raises it, and is seen at the gate.
        workshop.job = protocol.allowed(epoch)
        attempt = protocol.begin(transaction, started, epoch)
        reached("change.before")
        change.lock(workshop.job, workshop.at, transaction, keys)
        return _apply(workshop, transaction, _decide(workshop, transaction, keys), protocol, attempt)


def _decide(workshop: Workshop, transaction: Transaction, keys: Sequence[Key]) -> _Decision:
    job, at = workshop.job, workshop.at
    candidates = examine(job, at, transaction, keys, _extra(job))
    verdicts = {candidate.key: candidate.verdict(job) for candidate in candidates}
    # A floored row may yet count as held, where a row below it is.
    expired = [candidate for candidate in candidates if verdicts[candidate.key] in ("due", "floored")]
    family = gather(job, at, transaction, expired, workshop.batch)
    kept = family.kept_roots()
    due = [one for one in expired if verdicts[one.key] == "due" and (family.own, one.key) not in kept]
    going = family.below({(family.own, candidate.key) for candidate in due})
    tally = _classes(job, candidates, kept)
    if walks(job):  # else one pass of SQL has told
        tally.older(oldest_due(job, due))
    return _Decision(due, family, going, tally)


def _apply(
    workshop: Workshop, transaction: Transaction, decision: _Decision, protocol: Protocol, attempt: Attempt
) -> ChunkResult:
    job, at, due, family, going = workshop.job, workshop.at, decision.due, decision.family, decision.going
    if not due:
        return _result(decision.tally, 0, 0, {})
    if workshop.most is not None and workshop.taken + len(due) > workshop.most:
        raise RefusedError(
            f"more rows fell due while the job ran than the {workshop.most:,} that it may take",
            hint="look at the plan, then start again",
            code="max_rows",
        )
    if job.step.masking:
        changed, done = change.mask(job, at, transaction, due, workshop.key), len(due)
    else:
        done = len(due) + len(_also_due(workshop, transaction, decision))
        changed = change.destroy(job, at, transaction, due, family, going)
        gone = changed.counts.get(family.own, 0)
        if gone < done:
            # Only unlocked rows may be fewer: somebody touched them between the look and the deletion.
            done = gone
            _explain_fewer(workshop, transaction, due)
    reached("change.after")
    change.look_again(job, at, transaction, due, family, going)
    if any(changed.counts.values()):
        protocol.measure(transaction, attempt, changed)
        look_abroad = partial(change.look_abroad, job, at, transaction, due, family, going)
        protocol.commit(transaction, attempt, changed, done, due_days(job, due), look_abroad)
        workshop.taken += done
    return _result(decision.tally, done, done, changed.counts)


def _explain_fewer(workshop: Workshop, transaction: Transaction, due: Sequence[Candidate]) -> None:
    """Rows that are no longer due may stay; rows that are and did not go were kept by something in the database."""
    keys = [candidate.key for candidate in due]
    left = examine(workshop.job, workshop.at, transaction, keys, ())
    if any(candidate.verdict(workshop.job) == "due" for candidate in left):
        raise FailedError(
            f"{workshop.job.step.relation.label}: the database kept rows that were to go",
            hint="a trigger, rule or row-level security stands in the way",
            code="count-mismatch",
        )


def _also_due(workshop: Workshop, transaction: Transaction, decision: _Decision) -> set[Key]:
    """Rows of the job's own table that go with others of this chunk and are due themselves."""
    job, family = workshop.job, decision.family
    keys = [key for label, key in decision.going if label == family.own and (label, key) not in family.roots]
    if not keys:
        return set()
    found = examine(job, workshop.at, transaction, keys, ())
    return {candidate.key for candidate in found if candidate.verdict(job) == "due"}


def _would_go(workshop: Workshop, transaction: Transaction, decision: _Decision) -> dict[str, int]:
    """What would go with the chunk's due rows, each row counted in the first chunk that reaches it."""
    family = decision.family
    own_due = _also_due(workshop, transaction, decision)
    counts: dict[str, int] = {}
    for label, key in decision.going:
        if (label, key) in family.roots or (label == family.own and key in own_due):
            continue  # counted in the chunk of its own
        if workshop.shared:
            if key in workshop.seen.setdefault(label, set()):
                continue
            workshop.seen[label].add(key)
        counts[label] = counts.get(label, 0) + 1
    return counts


def _extra(job: Job) -> list[str]:
    masking = job.step.masking
    names = change.masked_columns(masking) if masking else needed_columns(job, job.step.relation.label)
    return list(dict.fromkeys(names))


def _classes(job: Job, candidates: Sequence[Candidate], kept: dict[Node, str]) -> Tally:
    tally, own = Tally(), job.step.relation.label
    for candidate in candidates:
        verdict = kept.get((own, candidate.key)) or candidate.verdict(job)
        if verdict != "not_yet":
            setattr(tally, verdict, getattr(tally, verdict) + 1)
    return tally


def _result(tally: Tally, due: int, done: int, tables: dict[str, int]) -> ChunkResult:
    return ChunkResult(
        due=due,
        held=tally.held,
        floored=tally.floored,
        not_started=tally.not_started,
        suspect=tally.suspect,
        done=done,
        tables=tables,
        oldest_due=tally.oldest_due,
    )
