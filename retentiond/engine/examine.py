"""
What is true of a chunk's rows: read once, by the dry run and, under lock, by the real one.

Every row comes out in exactly one class. Clocks of the row's own source are judged by its SQL; clocks of other sources
are shipped; both as the same flags, combined by the same rule.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from retentiond.compiler.clock_sql import decode
from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import ClockRead, Floor, Job, Step
from retentiond.compiler.statements import examine_statement
from retentiond.compiler.verdicts import RowFlags, TermFlags, combine_flags
from retentiond.engine.climb import Climb
from retentiond.engine.session import Transaction
from retentiond.engine.shipping import due_of, plain, ship
from retentiond.policy.calendar import Kind, Reading, kind_of


@dataclass(slots=True)
class Candidate:
    """One row of the job's table. `terms` and `values` follow the rule's terms; `links` those on related rows."""

    key: Key
    terms: list[TermFlags]
    values: list[Reading | None]
    links: dict[int, object]
    held: bool
    floored: bool
    extra: dict[str, Any] = field(repr=False)

    def row(self, job: Job) -> RowFlags:
        """The row's expiry."""
        return combine_flags(job.expiry.combine, self.terms)

    def verdict(self, job: Job) -> str:
        """The row's class, in the contract's order; what its cascade keeps is not asked here."""
        row = self.row(job)
        if row.suspect:
            return "suspect"
        if row.not_started:
            return "not_started"
        if not row.due:
            return "not_yet"
        return "held" if self.held else "floored" if self.floored else "due"


def oldest_due(job: Job, due: Sequence[Candidate]) -> datetime | None:
    """The instant since which the most overdue row of these due rows has been due."""
    return min(_since(job, due, min), default=None)


def due_days(job: Job, due: Sequence[Candidate]) -> dict[str, str]:
    """The first and the last day, where the clock is, on which one of these due rows fell due; no more is told."""
    first, last = min(_since(job, due, min), default=None), max(_since(job, due, max), default=None)
    if first is None or last is None:
        return {}
    zone = ZoneInfo(job.expiry.clocks[0].zone)
    return {"first": first.astimezone(zone).date().isoformat(), "last": last.astimezone(zone).date().isoformat()}


def _since(job: Job, due: Sequence[Candidate], outermost: Callable[..., Reading]) -> list[datetime]:
    """Instants since which rows have been due, the outermost among them: `min` or `max`."""
    if len(job.expiry.clocks) == 1:
        return _dues(job, due, outermost)
    of_row: Callable[..., datetime] = max if job.expiry.combine == "last" else min
    return [of_row(dues) for candidate in due if (dues := _dues(job, [candidate], outermost))]


def _dues(job: Job, due: Sequence[Candidate], outermost: Callable[..., Reading]) -> list[datetime]:
    """Per term the outermost instant at which one of the rows fell due by it; values of each kind for themselves."""
    found = []
    for index, clock in enumerate(job.expiry.clocks):
        values: dict[Kind, Reading] = {}
        for candidate in due:
            value = candidate.values[index]
            if value is not None and candidate.terms[index].due:
                kind = kind_of(value)
                values[kind] = outermost(values.get(kind, value), value)
        found += [due_of(clock, value) for value in values.values()]
    return found


def examine(
    job: Job, at: datetime, transaction: Transaction, keys: Sequence[Key], extra: Sequence[str]
) -> list[Candidate]:
    """The rows of these keys that pass the rule, each with all that decides about it."""
    rows = transaction.fetch(job.source, examine_statement(job, at, keys, extra))
    candidates, crossing, climb = (
        [],
        Crossing(transaction, at),
        Climb(transaction, job.step.relation, job.step.keepers.holds),
    )
    transaction.crossings += [(job.step.relation.label, crossing), (job.step.relation.label, climb)]
    for row in rows:
        cells = iter(row)
        key = tuple(next(cells) for _ in job.step.relation.key)
        terms, values, links = _terms(job.expiry.clocks, cells, crossing)
        held, floored = bool(next(cells)), bool(next(cells))
        crossing.floors(job.step, cells, key)
        climb.take(cells, key)
        candidates.append(Candidate(key, terms, values, links, held, floored, dict(zip(extra, cells, strict=True))))
    crossing.settle(candidates)
    climb.only(candidate.key for candidate in candidates if candidate.row(job).due)
    above = climb.held()
    for candidate in candidates:
        candidate.held = candidate.held or candidate.key in above
    return candidates


def _terms(
    clocks: Sequence[ClockRead], cells: Iterator[Any], crossing: "Crossing"
) -> tuple[list[TermFlags], list[Reading | None], dict[int, object]]:
    terms: list[TermFlags] = []
    values: list[Reading | None] = []
    links: dict[int, object] = {}
    for index, clock in enumerate(clocks):
        if clock.local:
            suspect, due, never, running = (bool(next(cells)) for _ in range(4))
            terms.append(TermFlags(suspect=suspect, due=due, never=never, running=running))
            value = next(cells)
            values.append(decode(clock, clock.types[0], value) if due else None)
            if clock.hops:
                links[index] = next(cells)
        else:
            links[index] = next(cells)
            crossing.term(index, clock, links[index])
            terms.append(_UNKNOWN)
            values.append(None)
    return terms, values, links


_UNKNOWN = TermFlags(suspect=False, due=False, never=False, running=True)


class Crossing:
    """The links to other sources that a batch of rows has, asked for together."""

    def __init__(self, transaction: Transaction, at: datetime) -> None:
        self._transaction = transaction
        self._at = at
        self._terms: dict[int, tuple[ClockRead, set[object]]] = {}
        self._floors: dict[int, tuple[Floor, dict[Key, object]]] = {}

    def term(self, index: int, clock: ClockRead, link: object) -> None:
        """Notes a link that a term needs followed."""
        self._terms.setdefault(index, (clock, set()))[1].add(link)

    def floors(self, step: Step, cells: Iterator[Any], key: Key) -> None:
        """Takes the cells of floors of other sources off the row."""
        for index, floor in enumerate(step.keepers.floors):
            if not floor.clock.local:
                applies, link = bool(next(cells)), next(cells)
                if applies:
                    self._floors.setdefault(index, (floor, {}))[1][key] = link

    def asks(self) -> bool:
        """True where a floor of another source bears on one of the rows."""
        return bool(self._floors)

    def settle(self, candidates: Sequence[Candidate]) -> None:
        """Fills in what only other sources could tell."""
        for index, (clock, links) in self._terms.items():
            answers = ship(clock, links, self._at, self._transaction.session.read)
            for candidate in candidates:
                shipped = answers[plain(candidate.links[index])]
                candidate.terms[index], candidate.values[index] = shipped.flags, shipped.value
        floored = self.floored()
        for candidate in candidates:
            candidate.floored = candidate.floored or candidate.key in floored

    def floored(self) -> set[Key]:
        """The keys that a floor of another source holds: all whose clock is not known to be over."""
        found: set[Key] = set()
        for floor, links in self._floors.values():
            answers = ship(floor.clock, set(links.values()), self._at, self._transaction.session.read)
            found |= {key for key, link in links.items() if not answers[plain(link)].flags.due}
        return found
