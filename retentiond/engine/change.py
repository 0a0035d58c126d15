"""
The write branch: what a chunk changes, and the second look before it may commit.

Rows go by their full key and by the predicate repeated in the changing statement; what the database says it changed
must be what was examined, or the chunk is rolled back.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from retentiond.catalog.model import Family as ColumnFamily
from retentiond.compiler.key_sets import Key
from retentiond.compiler.mask_context import MaskContext, MaskFailure
from retentiond.compiler.mask_json import document_text
from retentiond.compiler.masks import mask_value
from retentiond.compiler.masks_sql import set_sql
from retentiond.compiler.plan import ClockRead, Job, Masking, Relation, Step
from retentiond.compiler.statements import (
    children_statement,
    contradiction_statement,
    delete_returning_statement,
    delete_statement,
    floored_statement,
    lock_statement,
    related_terms,
    unlink_statement,
    update_rows_statement,
    update_statement,
)
from retentiond.compiler.tables import table_of
from retentiond.compiler.verdicts import TermFlags
from retentiond.engine.examine import Candidate
from retentiond.engine.family import Family, Node, waves
from retentiond.engine.session import Transaction
from retentiond.engine.shipping import plain, ship
from retentiond.errors import FailedError, TransientError

_Item = TypeVar("_Item")
_BATCH = 2000
_SQLITE_DEFER = "PRAGMA defer_foreign_keys = ON"


def lock(job: Job, at: datetime, transaction: Transaction, keys: Sequence[Key]) -> None:
    """
    Locks the rows of these keys and the related rows their decision rests on, so that what is read next stays true.

    A rule on own columns alone locks nothing beforehand: its changing statement asks again, and needs fewer rights.
    """
    relation = job.step.relation
    if relation.dialect == "sqlite":
        # The first statement of a writing transaction takes the whole file.
        transaction.fetch(job.source, lock_statement(relation, keys[:1]))
        return
    if not needs_lock(job):
        return
    transaction.fetch(job.source, lock_statement(relation, keys))
    for clock in (*job.expiry.clocks, *(floor.clock for floor in job.step.keepers.floors)):
        transaction.lock_related(clock, relation, at, keys)


def needs_lock(job: Job) -> bool:
    """
    True where the decision rests on more than the row's own columns, or old values are read to make new ones; on MySQL
    always, whose DELETE cannot tell which rows it took.
    """
    if job.step.relation.dialect == "mysql":
        return True
    keepers = job.step.keepers
    kept = any(floor.clock.hops for floor in keepers.floors) or bool(keepers.holds.climbs)
    return bool(job.cascade or job.step.masking or kept or related_terms(job.expiry.clocks))


@dataclass(slots=True)
class Changed:
    """
    What the statements of a chunk did, as the database told: by table label the keys of the rows that went or were
    masked, and how many had references emptied before they went.
    """

    keys: dict[str, list[Key]] = field(default_factory=dict, repr=False)
    unlinked: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The rows that went, per table label."""
        return {label: len(keys) for label, keys in self.keys.items()}

    def add(self, label: str, keys: Iterable[Key]) -> None:
        """Notes rows that went."""
        self.keys.setdefault(label, []).extend(keys)


def destroy(
    job: Job, at: datetime, transaction: Transaction, due: Sequence[Candidate], family: Family, going: set[Node]
) -> Changed:
    """Deletes the rows and all that goes with them, children first."""
    steps = {step.relation.label: step for step in job.cascade}
    changed = Changed()
    own = {candidate.key: candidate for candidate in due}
    for wave in waves(job, family, going):
        step = steps.get(wave.label)
        if wave.circular and step is not None:
            unlinked = _unlink(transaction, step, wave.keys, wave.unlink)
            changed.unlinked[wave.label] = changed.unlinked.get(wave.label, 0) + unlinked
            continue
        chosen = [own[key] for key in wave.keys if wave.label == family.own and key in own]
        others = [key for key in wave.keys if not (wave.label == family.own and key in own)]
        changed.add(wave.label, _delete_own(job, at, transaction, chosen) if chosen else ())
        if others and step is not None:
            _delete_others(at, transaction, step, others)
            changed.add(wave.label, others)
    return changed


def mask(job: Job, at: datetime, transaction: Transaction, due: Sequence[Candidate], key: bytes) -> Changed:
    """Masks the rows."""
    masking, relation = job.step.masking, job.step.relation
    assert masking is not None
    table = table_of(relation)
    fixed = _fixed_values(job, masking, relation, table, at)
    computed = {name: method for name, method in masking.methods if name not in fixed}
    count = 0
    for known, group in _by_known(job, due):
        keys = [candidate.key for candidate in group]
        if not computed:
            count += _count(transaction, job.source, update_statement(job.step, at, keys, known, fixed))
            continue
        statement = update_rows_statement(job.step, at, known, fixed, list(computed))
        rows = [_masked(job, candidate, computed, key) for candidate in group]
        count += int(transaction.execute(job.source, statement, rows).rowcount)
    _must_match(count, len(due), relation.label)
    return Changed({relation.label: [candidate.key for candidate in due]})


def masked_columns(masking: Masking) -> list[str]:
    """The columns whose old values are needed to make the new ones."""
    return [name for name, method in masking.methods if method.name not in ("empty", "constant")]


def look_again(
    job: Job, at: datetime, transaction: Transaction, due: Sequence[Candidate], family: Family, going: set[Node]
) -> None:
    """
    Asks again for all in the same source that the decision rested on beside the rows themselves: related rows, floors,
    what belongs to rows that go.

    Asked in a session of its own: it sees what everybody committed, and not what this transaction took away – a new
    contract that our deletion of its customer would take along is still there. On SQLite the file is ours alone.

    Raises:
        TransientError: where something is not what the decision rested on; the chunk is rolled back and done again.
    """
    steps = {step.relation.label: step for step in (*job.cascade, job.step)}
    for label, step in steps.items():
        if step.relation.dialect != "sqlite":
            _look_at_floors(step, at, transaction, [key for found, key in going if found == label])
            _look_at_children(step, at, transaction, family, going, abroad=False)
    for index in related_terms(job.expiry.clocks):
        clock = job.expiry.clocks[index]
        if clock.local and job.step.relation.dialect != "sqlite":
            _look_at_related(clock, index, at, transaction, due)


def look_abroad(
    job: Job, at: datetime, transaction: Transaction, due: Sequence[Candidate], family: Family, going: set[Node]
) -> None:
    """
    Asks again for all in other sources that the decision rested on: the last step before the gate.

    Raises:
        TransientError: as `look_again`.
    """
    for step in job.cascade:
        _look_at_children(step, at, transaction, family, going, abroad=True)
    for index in related_terms(job.expiry.clocks):
        clock = job.expiry.clocks[index]
        if not clock.local:
            _ship_again(clock, index, at, transaction, due)
    for label, crossing in transaction.crossings:
        if any((label, key) in going for key in crossing.floored()):
            raise _changed(label, "a floor")


def rests_abroad(job: Job, transaction: Transaction) -> bool:
    """True where something in another source bears on the chunk, which no lock of ours holds still."""
    asked = any(crossing.asks() for _, crossing in transaction.crossings)
    return asked or not job.expiry.local or len(job.sources) > 1


def _look_at_floors(step: Step, at: datetime, transaction: Transaction, keys: Sequence[Key]) -> None:
    floors = any(floor.clock.hops and floor.clock.local for floor in step.keepers.floors)
    if not (floors or step.keepers.holds.beside):
        return
    for piece in _batches(keys):
        if transaction.session.read(step.relation.source, floored_statement(step, at, piece)):
            raise _changed(step.relation.label, "a floor")


def _look_at_children(
    step: Step, at: datetime, transaction: Transaction, family: Family, going: set[Node], *, abroad: bool
) -> None:
    """Rows that came to belong to one that goes, where no foreign key shut them out; `abroad`: of another source."""
    for edge in step.edges:
        own = edge.parent.startswith(f"{step.relation.source}.")
        if edge.enforced or own == abroad:
            continue
        # The parent's own source is asked with what its driver gave; another one with what every driver takes.
        sent: Callable[[object], object] = (lambda value: value) if own else plain
        parents = [family.nodes[node] for node in going if node[0] == edge.parent]
        values = {tuple(sent(parent[name]) for name in edge.parent_columns) for parent in parents}
        for piece in _batches(sorted((value for value in values if None not in value), key=str)):
            statement = children_statement(step, edge, at, piece, (), lock=False)
            for row in transaction.session.read(step.relation.source, statement):
                if (step.relation.label, tuple(row[: len(step.relation.key)])) not in family.nodes:
                    raise _changed(step.relation.label, "what belongs to its row")


def _look_at_related(
    clock: ClockRead, index: int, at: datetime, transaction: Transaction, due: Sequence[Candidate]
) -> None:
    for expected in ("due", "never"):
        links = {c.links[index] for c in due if getattr(c.terms[index], expected) and c.links[index] is not None}
        for piece in _batches(sorted(links, key=str)):
            if transaction.session.read(clock.source, contradiction_statement(clock, at, piece, expected)):
                raise _changed(clock.source, f"the clock {clock.term.clock.text}")


def _ship_again(clock: ClockRead, index: int, at: datetime, transaction: Transaction, due: Sequence[Candidate]) -> None:
    found = {plain(candidate.links[index]): candidate.terms[index] for candidate in due}
    answers = ship(clock, found, at, transaction.session.read)
    if any(answers[link].flags != flags for link, flags in found.items()):
        raise _changed(clock.source, f"the clock {clock.term.clock.text}")


def _changed(where: str, what: str) -> TransientError:
    return TransientError(f"{where}: {what} is no longer what it was when it was looked at", code="changed-meanwhile")


def _delete_own(job: Job, at: datetime, transaction: Transaction, due: Sequence[Candidate]) -> list[Key]:
    """The keys of the rows that went; of rows that were not locked some may have stayed."""
    gone: list[Key] = []
    locked = needs_lock(job) or job.step.relation.dialect == "sqlite"
    for known, group in _by_known(job, due):
        keys = [candidate.key for candidate in group]
        if locked:
            count = _count(transaction, job.source, delete_statement(job.step, at, keys, known))
            _must_match(count, len(keys), job.step.relation.label)
            gone += keys
            continue
        statement = delete_returning_statement(job.step, at, keys, known)
        gone += [tuple(row) for row in transaction.fetch(job.source, statement)]
    return gone


def _delete_others(at: datetime, transaction: Transaction, step: Step, keys: Sequence[Key]) -> None:
    for piece in _batches(keys):
        gone = _count(transaction, step.relation.source, delete_statement(step, at, piece, {}))
        _must_match(gone, len(piece), step.relation.label)


def _unlink(transaction: Transaction, step: Step, keys: Sequence[Key], columns: Sequence[str]) -> int:
    """How many rows had their references emptied."""
    source = step.relation.source
    if step.relation.dialect == "sqlite":  # here even a circle of columns that are NOT NULL can go
        transaction.execute(source, sa.text(_SQLITE_DEFER))
    pieces = _batches(keys if columns else ())
    return sum(_count(transaction, source, unlink_statement(step, piece, columns)) for piece in pieces)


def _by_known(job: Job, due: Sequence[Candidate]) -> Iterator[tuple[dict[int, TermFlags], list[Candidate]]]:
    """The rows in groups for which the same was found of their related clocks."""
    indexes = related_terms(job.expiry.clocks)
    groups: dict[tuple[TermFlags, ...], list[Candidate]] = {}
    for candidate in due:
        groups.setdefault(tuple(candidate.terms[index] for index in indexes), []).append(candidate)
    for flags, group in groups.items():
        for piece in _batches(group):
            yield dict(zip(indexes, flags, strict=True)), list(piece)


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _count(transaction: Transaction, source: str, statement: sa.Delete | sa.Update) -> int:
    return int(transaction.execute(source, statement).rowcount)


def _must_match(changed: int, expected: int, label: str) -> None:
    if changed != expected:
        raise FailedError(
            f"{label}: the database changed {changed} of {expected} locked rows",
            hint="a trigger, rule or row-level security stands in the way, or takes more",
            code="count-mismatch",
        )


def _fixed_values(
    job: Job, masking: Masking, relation: Relation, table: sa.FromClause, at: datetime
) -> dict[str, object]:
    """What is the same for every row: emptied and constant columns, and the marker."""
    fixed: dict[str, object] = {}
    for name, method in masking.methods:
        expression = set_sql(method, relation.column(name), relation, table)
        if expression is not None:
            fixed[name] = expression
    if masking.marker:
        fixed[masking.marker] = _marker(relation.column(masking.marker).family, at, job.timezone, relation.dialect)
    return fixed


def _marker(family: ColumnFamily, at: datetime, timezone: str, dialect: str) -> object:
    """What says that a row is done: true, or the run's instant in the column's own form."""
    if family is ColumnFamily.BOOLEAN:
        return True if dialect == "postgresql" else 1
    if family is ColumnFamily.INSTANT:
        return at if dialect == "postgresql" else at.replace(tzinfo=None)
    local = at.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    if family is ColumnFamily.DATE:
        return local.date()
    if family is ColumnFamily.TEXT_DATE:
        return local.date().isoformat()
    return local.isoformat(" ") if family is ColumnFamily.TEXT_DATETIME else local


def _masked(job: Job, candidate: Candidate, computed: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    """One row's key and new values as parameters of `update_rows_statement`."""
    relation = job.step.relation
    row = {f"key_{index}": value for index, value in enumerate(candidate.key)}
    for name, method in computed.items():
        column = relation.column(name)
        context = MaskContext(
            family=column.family,
            length=column.length,
            key=key,
            scope=job.policy,
            random=secrets.token_bytes,
            nullable=column.nullable,
        )
        try:
            masked = mask_value(method, candidate.extra[name], context)
            # PostgreSQL's driver hands documents over, and takes none back.
            row[f"new_{name}"] = document_text(masked) if isinstance(masked, (dict, list)) else masked
        except MaskFailure as failure:
            raise MaskFailure(f"{relation.label}.{name}: {failure.message}") from None
        except (ValueError, TypeError, OverflowError, RecursionError) as error:  # its words may hold the value
            raise MaskFailure(f"{relation.label}.{name}: {type(error).__name__}") from None
    return row
