"""
One row under one rule, in plain Python: is it due, and if not, why not.

The twin of the compiled SQL, used by `explain`, by `test` and by the tests that hold the two together. Both share the
calendar and nothing else. The questions are asked in the order of the contract: suspect, not started, not yet due,
held, floored, due.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from retentiond.policy.calendar import due_instant
from retentiond.policy.clocks import ClockType, ClockValue, Special, clock_value, combine, type_of_format
from retentiond.policy.expression_value import Row, evaluate_expression, truth_of
from retentiond.policy.model import Action, Keep, Policy, Record, Rule, Term

__all__ = [
    "ClockTypes",
    "ClockValue",
    "KeepExplanation",
    "Related",
    "State",
    "TermExplanation",
    "Verdict",
    "classify",
    "evaluate_expression",
    "evaluate_row",
    "explain_keep",
    "floor_holds",
    "judge_keep",
    "term_state",
    "truth_of",
]

State = datetime | Special
"""The UTC instant from which a term or a keep is over, or why there is none."""

Related = Mapping[str, Sequence[Row]]
"""By record, the rows that are related to the row in question."""

ClockTypes = Mapping[tuple[str, str], ClockType]
"""By record and column, how a clock is stored; what is missing shows by its values."""


class Verdict(StrEnum):
    """The class of a row that a rule governs; each falls in exactly one."""

    SUSPECT = "suspect"
    NOT_STARTED = "not started"
    NOT_YET = "not yet"
    HELD = "held"
    FLOORED = "floored"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class TermExplanation:
    """One term of a keep for one row: as written, what its clock shows, when it is over (None: not known or never)."""

    text: str
    clock: str
    value: ClockValue
    due: datetime | None
    decides: bool


@dataclass(frozen=True, slots=True)
class KeepExplanation:
    """A whole keep for one row: its terms, and what they come to."""

    terms: tuple[TermExplanation, ...]
    state: State


def term_state(term: Term, value: ClockValue, zone: ZoneInfo) -> State:
    """When a term is over for what its clock shows; `zone` is that of the record which holds the column."""
    if isinstance(value, Special):
        return value
    due = due_instant(term.period, term.clock.end_of, value, zone)
    return Special.ENDLESS if due is None else due


def judge_keep(keep: Keep, values: Sequence[ClockValue], zones: Sequence[ZoneInfo]) -> State:
    """When a keep is over for what its terms' clocks show: RUNNING and NEVER mean that it has not started."""
    states = [term_state(*parts) for parts in zip(keep.terms, values, zones, strict=True)]
    if Special.SUSPECT in states:
        return Special.SUSPECT
    started = [state for state in states if state not in (Special.RUNNING, Special.NEVER)]
    if not started or (keep.combine == "last" and Special.RUNNING in states):
        return Special.RUNNING if Special.RUNNING in states else Special.NEVER
    endings = [state for state in started if isinstance(state, datetime)]
    if keep.combine == "last":
        return max(endings) if len(endings) == len(started) else Special.ENDLESS
    return min(endings, default=Special.ENDLESS)


def explain_keep(keep: Keep, values: Sequence[ClockValue], zones: Sequence[ZoneInfo]) -> KeepExplanation:
    """Every term of a keep with what its clock shows, and which of them decide."""
    state = judge_keep(keep, values, zones)
    terms = []
    for term, value, zone in zip(keep.terms, values, zones, strict=True):
        own = term_state(term, value, zone)
        due = own if isinstance(own, datetime) else None
        terms.append(TermExplanation(term.text, term.clock.text, value, due, own == state))
    return KeepExplanation(tuple(terms), state)


def classify(due: State, at: datetime, *, held: bool, floored: bool) -> Verdict:
    """The class of a governed row at an instant; only an expired row is held or floored."""
    if due is Special.SUSPECT:
        return Verdict.SUSPECT
    if due in (Special.RUNNING, Special.NEVER):
        return Verdict.NOT_STARTED
    if not isinstance(due, datetime) or due > at:
        return Verdict.NOT_YET
    if held:
        return Verdict.HELD
    return Verdict.FLOORED if floored else Verdict.DUE


def floor_holds(where: bool | None, due: State, at: datetime) -> bool:
    """True unless the floor's `where` is false or its period is known to have ended."""
    return where is not False and not (isinstance(due, datetime) and due <= at)


def evaluate_row(
    policy: Policy, rule: Rule, row: Row, related: Related, at: datetime, clock_types: ClockTypes | None = None
) -> Verdict | None:
    """
    The class of a row under a rule at an instant; None where its `where` is not true or its marker says it is masked.

    Holds and floors count that stand on the row itself and, for a deletion, on the related rows of its cascade.
    Requests, other sources' holds and `effective` are not a row's matter.
    """
    if rule.where is not None and truth_of(rule.where.expression, row) is not True:
        return None
    record = policy.record(rule.record)
    if rule.action.masks and record.marker is not None and _is_set(row.get(record.marker)):
        return None
    scene = _Scene(policy, {record.name: (row,), **related}, at, clock_types or {})
    taken = [(record, row)]
    if rule.action.verb == "delete":
        taken += [(child, one) for child in _cascade(policy, record) for one in related.get(child.name, ())]
    return classify(
        scene.judge(rule, row),
        at,
        held=any(scene.is_held(*one) for one in taken),
        floored=any(scene.is_floored(rule, *one) for one in taken),
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    """What may be asked about a row: the policy, the rows around it, the instant."""

    policy: Policy
    related: Related
    at: datetime
    types: ClockTypes

    def judge(self, rule: Rule, row: Row) -> State:
        """When a rule's keep is over for a row."""
        record = self.policy.record(rule.record)
        found = [self._value(term, record, row) for term in rule.keep.terms]
        return judge_keep(rule.keep, [value for value, _ in found], [zone for _, zone in found])

    def is_held(self, record: Record, row: Row) -> bool:
        """True where a `held` column of the row's table is set."""
        return any(other.held and _is_set(row.get(other.held)) for other in self._of_table(record))

    def is_floored(self, rule: Rule, record: Record, row: Row) -> bool:
        """True where a floor of another rule keeps the row from this one's action."""
        names = {other.name for other in self._of_table(record)}
        return any(
            floor_holds(truth_of(floor.where.expression, row) if floor.where else True, self.judge(floor, row), self.at)
            for floor in self.policy.rules
            if floor.keep.floor and floor != rule and floor.record in names and _bears_on(floor, rule.action)
        )

    def _of_table(self, record: Record) -> Iterator[Record]:
        for other in self.policy.records:
            if other.table == record.table and _share_source(other, record):
                yield other

    def _value(self, term: Term, record: Record, row: Row) -> tuple[ClockValue, ZoneInfo]:
        moment = term.clock.moment
        holder = self.policy.record(moment.record) if moment.record else record
        rows = self.related.get(holder.name, ()) if moment.record else (row,)
        zone = ZoneInfo(holder.timezone)
        raws = [one.get(moment.column) for one in rows]
        values = [clock_value(raw, self._type(holder, moment.column, raw), holder, moment.column) for raw in raws]
        return combine(values, term, zone), zone

    def _type(self, record: Record, column: str, raw: object) -> ClockType:
        if known := self.types.get((record.name, column)):
            return known
        if (declared := record.format_of(column)) is not None:
            return type_of_format(declared)
        if isinstance(raw, datetime):
            return ClockType.NAIVE if raw.tzinfo is None else ClockType.INSTANT
        return ClockType.DATE if isinstance(raw, date) else ClockType.TEXT_DATETIME


def _bears_on(floor: Rule, action: Action) -> bool:
    """True where the action touches what the floor keeps; a deletion touches everything."""
    return not (floor.columns and action.masks) or any(column in floor.columns for column, _ in action.methods)


def _cascade(policy: Policy, record: Record) -> Iterator[Record]:
    """The records whose rows go with a deleted row, and theirs."""
    seen, waiting = {record.name}, [record]
    while waiting:
        parent = waiting.pop()
        for child in policy.records:
            same_table = child.table in parent.cascade and _share_source(child, parent)
            if child.name not in seen and (child.name in parent.cascade or same_table):
                seen.add(child.name)
                waiting.append(child)
                yield child


def _share_source(one: Record, two: Record) -> bool:
    return any(fnmatchcase(a, b) or fnmatchcase(b, a) for a in one.sources for b in two.sources)


def _is_set(value: object) -> bool:
    """True where a boolean column is true, or a marker's timestamp is there."""
    return bool(value) if isinstance(value, int) else value is not None
