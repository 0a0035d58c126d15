"""How many rows stand in which class: one pass of SQL over the job's table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from retentiond.compiler.clock_sql import decode
from retentiond.compiler.plan import Job
from retentiond.compiler.statements import (
    CLASSES,
    count_statement,
    due_values_statement,
    least_clocks,
    total_statement,
)
from retentiond.engine.report import Cutoff, instant_text
from retentiond.engine.session import Session
from retentiond.engine.shipping import due_of
from retentiond.policy.calendar import Kind, Reading, before_bound, due_bound
from retentiond.policy.clocks import ClockType

_DATES = (ClockType.DATE, ClockType.TEXT_DATE)


@dataclass(slots=True)
class Tally:
    """Rows per class, the most overdue of them, and what goes with the due ones (source.table → rows)."""

    due: int = 0
    held: int = 0
    floored: int = 0
    not_started: int = 0
    suspect: int = 0
    total: int = 0
    oldest_due: datetime | None = None
    cascade: dict[str, int] = field(default_factory=dict)

    def older(self, due_since: datetime | None) -> None:
        """Notes the instant a due row has been due since."""
        if due_since is not None and (self.oldest_due is None or due_since < self.oldest_due):
            self.oldest_due = due_since


def count(job: Job, at: datetime, session: Session) -> Tally:
    """The classes of all rows. Of clocks in other sources SQL knows nothing: then only `total` is counted."""
    tally = Tally()
    if not job.expiry.local:
        tally.total = int(session.read(job.source, total_statement(job.step.relation))[0][0])
        return tally
    least: Sequence[object] = ()
    for number, rows, *values in session.read(job.source, count_statement(job, at)):
        name = CLASSES[int(number)]
        tally.total += int(rows)
        if name not in ("outside", "not_yet"):
            setattr(tally, name, int(rows))
        if name == "due":
            least = values
    if tally.due and not walks(job):
        for due_since in _due_since(job, at, session, least):
            tally.older(due_since)
    return tally


def walks(job: Job) -> bool:
    """True where SQL alone cannot tell held, floored and due apart: rows of other tables or sources decide with."""
    keepers = job.step.keepers
    crossing_floors = any(not floor.clock.local for floor in keepers.floors)
    return bool(job.cascade) or not job.expiry.local or crossing_floors or bool(keepers.holds.climbs)


def cutoffs(job: Job, at: datetime) -> tuple[Cutoff, ...]:
    """Per term the first instant of the clock that is not yet due at `at`."""
    found = []
    for clock in job.expiry.clocks:
        zone, term = ZoneInfo(clock.zone), clock.term
        kind = Kind.DATE if clock.types[0] in _DATES else Kind.INSTANT
        upper = due_bound(term.period, term.clock.end_of, kind, zone, at).upper
        instant = upper if isinstance(upper, datetime) else before_bound(upper, Kind.INSTANT, zone).upper
        assert isinstance(instant, datetime)
        found.append(Cutoff(term.clock.text, instant_text(instant) or ""))
    return tuple(found)


def _due_since(job: Job, at: datetime, session: Session, least: Sequence[object]) -> list[datetime]:
    """Instants since which due rows have been due, the most overdue among them."""
    clocks = job.expiry.clocks
    if not any(clock.hops for clock in clocks) and job.expiry.combine != "last":
        # The earliest value of each term falls due first, and a row is due by its earliest term.
        owners = [clocks[index] for index, _ in least_clocks(job)]
        found = [(clock, decode(clock, clock.types[0], raw)) for clock, raw in zip(owners, least, strict=True)]
        return [due_of(clock, reading) for clock, reading in found if reading is not None]
    oldest: datetime | None = None
    for row in session.stream(job.source, due_values_statement(job, at)):
        readings = [decode(clock, clock.types[0], raw) for clock, raw in zip(clocks, row, strict=True)]
        since = _row_due_since(job, at, readings)
        oldest = since if oldest is None or (since is not None and since < oldest) else oldest
    return [oldest] if oldest else []


def _row_due_since(job: Job, at: datetime, readings: Sequence[Reading | None]) -> datetime | None:
    clocks = job.expiry.clocks
    dues = [due_of(clock, reading) for clock, reading in zip(clocks, readings, strict=True) if reading is not None]
    past = [due for due in dues if due <= at]
    if not past:
        return None
    return max(past) if job.expiry.combine == "last" else min(past)
