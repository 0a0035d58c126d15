"""From a rule of the document to a `Rule`: its record, clock, condition, action and rhythm."""

from collections.abc import Mapping
from datetime import timedelta

from retentiond.policy.conditions import parse_where
from retentiond.policy.document import FirstOf, RuleDocument, Stay
from retentiond.policy.fields import BASES
from retentiond.policy.grammar import parse_keep, parse_term
from retentiond.policy.masks import action_of
from retentiond.policy.model import (
    Action,
    Basis,
    Guard,
    Keep,
    OnRequest,
    Period,
    Record,
    Rule,
    Statute,
    Term,
    Where,
)
from retentiond.policy.nodes import Path
from retentiond.policy.reader import Reading
from retentiond.policy.relations import NoPathError, clock_path
from retentiond.policy.schedule import parse_schedule
from retentiond.policy.understanding import understand
from retentiond.policy.wording import nearest, quoted


class RuleResolver:
    """Turns the rules of one file into values, and reports what is wrong with each on its own."""

    def __init__(self, reading: Reading, records: Mapping[str, Record], schedule: str) -> None:
        self.reading = reading
        self.records = records
        self.schedule = schedule
        self.named: dict[str, int] = {}

    def rule(self, index: int, said: RuleDocument) -> Rule | None:
        """The rule a part of the document states; None where too much of it could not be read."""
        path: Path = ("rules", index)
        self.check_name(said, path)
        record = self.record(said, path)
        keep = self.keep(said, path, record)
        action = action_of(said, path, record, self.reading)
        where = self.where(said, path)
        schedule, within = self.rhythm(said, path)
        self.check_floor(said, path, keep, action)
        if not (said.name and record and keep and action):
            self.reading.lost.add(path)
            return None
        return Rule(
            name=said.name,
            record=record.name,
            clause=said.clause or "",
            keep=keep,
            action=action,
            index=index,
            where=where,
            schedule=schedule,
            within=within,
            purpose=said.purpose,
            basis=_basis(said.basis),
            statute=_statute(said),
            columns=tuple(said.columns or ()),
            on_request=_on_request(said.on_request),
            guard=Guard(said.guard.max_rows, said.guard.max_share) if said.guard else Guard(),
        )

    def check_name(self, said: RuleDocument, path: Path) -> None:
        if said.name is None:
            return
        if said.name in self.named:
            message = f"there is another rule {quoted(said.name)}, in line {self.named[said.name]}"
            self.reading.report(self.reading.place(*path, "name"), "duplicate-name", message)
        self.named.setdefault(said.name, self.reading.place(*path, "name").line)

    def record(self, said: RuleDocument, path: Path) -> Record | None:
        if said.record is None or said.record in self.records:
            return self.records.get(said.record or "")
        if not self.reading.unsure("records"):
            message = f"there is no record {quoted(said.record)}"
            hint = nearest(said.record, self.records, "known records")
            self.reading.report(self.reading.place(*path, "record"), "unknown-record", message, hint)
        return None

    def keep(self, said: RuleDocument, path: Path, record: Record | None) -> Keep | None:
        where = (*path, "keep")
        if said.keep is None:
            return None
        if isinstance(said.keep, str):
            keep = understand(parse_keep, where, said.keep, self.reading)
        else:
            which = "whichever comes first" if isinstance(said.keep, FirstOf) else "whichever comes last"
            places = [(*where, which, place) for place in range(len(said.keep.terms))]
            terms: list[Term | None] = [
                understand(parse_term, place, text, self.reading)
                for place, text in zip(places, said.keep.terms, strict=True)
            ]
            for term, place in zip(terms, places, strict=True):
                if term and record:
                    self.check_clock(term, place, record)
            found = tuple(term for term in terms if term)
            keep = Keep(found, "first" if isinstance(said.keep, FirstOf) else "last", floor=False)
            return keep if len(found) == len(terms) else None
        if keep and record:
            self.check_clock(keep.terms[0], where, record)
        return keep

    def check_clock(self, term: Term, place: Path, record: Record) -> None:
        try:
            clock_path(self.records.values(), record.name, term.clock.moment)
        except NoPathError as error:
            if error.code == "no-path" and self.unsure_links():
                return
            if error.code == "unknown-record" and self.reading.unsure("records"):
                return
            scalar = self.reading.scalars.get(place)
            offset = scalar.text.rfind(str(term.clock.moment.record)) if scalar else 0
            position = scalar.at(max(offset, 0)) if scalar else self.reading.place(*place)
            self.reading.report(position, error.code, error.message, error.hint)

    def unsure_links(self) -> bool:
        """True where some record's relations could not be read."""
        return any(self.reading.unsure_within("records", name, "belongs_to") for name in self.records)

    def where(self, said: RuleDocument, path: Path) -> Where | None:
        if said.where is None:
            return None
        expression = understand(parse_where, (*path, "where"), said.where, self.reading)
        if expression is None:
            self.reading.lost.add((*path, "where"))
            return None
        return Where(said.where.strip(), expression)

    def rhythm(self, said: RuleDocument, path: Path) -> tuple[str, timedelta | None]:
        text = said.schedule or self.schedule
        schedule = (
            understand(parse_schedule, (*path, "schedule"), text, self.reading)
            if said.schedule
            else parse_schedule(text)
        )
        if said.within:
            return text, _length(said.within)
        return (schedule.text, 2 * schedule.interval) if schedule else (text, None)

    def check_floor(self, said: RuleDocument, path: Path, keep: Keep | None, action: Action | None) -> None:
        if keep is None:
            return
        report, place = self.reading.report, self.reading.place
        if keep.floor and said.statute is None and not self.reading.unsure(*path, "statute"):
            hint = "write for example statute: {law: …, checked: 2026-11-22}"
            report(place(*path, "keep"), "missing-statute", "`at least` needs the `statute` that demands it", hint)
        if said.columns and not keep.floor:
            message = "`columns` limits a floor, and this rule keeps nothing for sure"
            report(
                self.reading.key(*path, "columns"),
                "columns-without-floor",
                message,
                "write `at least …`, or clear them",
            )
        if action and action.verb == "nothing" and not keep.floor:
            message = "`then: nothing` stands only beside `at least`"
            report(place(*path, "then"), "bad-then", message, "say what happens when the time is over")
            self.reading.lost.add(path)


def _length(period: Period) -> timedelta:
    """How long a period is at least, for comparing with a delay."""
    return timedelta(days=period.months * 30 + period.days, seconds=period.seconds)


def _basis(said: str | None) -> Basis | None:
    return next((basis for basis in BASES if basis == said), None)


def _statute(said: RuleDocument) -> Statute | None:
    statute = said.statute
    return Statute(statute.law, statute.checked) if statute and statute.law and statute.checked else None


def _on_request(said: str | Stay | None) -> OnRequest | None:
    if said is None:
        return None
    return OnRequest(stay=True, reason=said.stay or "") if isinstance(said, Stay) else OnRequest(stay=False)
