"""
What is allowed in a policy and still worth a second look, found without a database.

`today` is an argument: the language reads no clock.
"""

import re
from collections.abc import Iterator
from datetime import date

from retentiond.errors import Problem
from retentiond.policy.model import Policy, Rule, Term
from retentiond.policy.reach import destroyed
from retentiond.policy.relations import NoPathError, clock_path
from retentiond.policy.wording import quoted

STATUTE_YEARS = 2

_OBJECTION = re.compile(
    r"unsubscri|opt(ed)?_?out|object(ed|ion)|withdr[ae]w|revoked|do_?not_?(call|mail|contact|track)|suppress|stop_?list",
    re.IGNORECASE,
)


def findings(policy: Policy, today: date) -> tuple[Problem, ...]:
    """The warnings of one policy, in the order of the file."""
    found = [*_old_statutes(policy, today), *_forgotten_objections(policy), *_destroyed_clocks(policy)]
    return tuple(sorted(found))


def _warning(policy: Policy, path: tuple[str | int, ...], code: str, message: str, hint: str) -> Problem:
    return Problem(policy.place(*path), code, message, hint, severity="warning")


def _old_statutes(policy: Policy, today: date) -> Iterator[Problem]:
    """Laws change; a floor that nobody has looked up for two years may be wrong."""
    for rule in policy.rules:
        if rule.statute is None:
            continue
        checked = rule.statute.checked
        if (checked.year + STATUTE_YEARS, checked.month, checked.day) < (today.year, today.month, today.day):
            message = f"{quoted(rule.statute.law)} was last checked on {checked}, over {STATUTE_YEARS} years ago"
            path = ("rules", rule.index, "statute", "checked")
            yield _warning(policy, path, "statute-old", message, "look it up again and write the day down")


def _forgotten_objections(policy: Policy) -> Iterator[Problem]:
    """Deleting the row that remembers an objection lets the person be written to again."""
    for rule in policy.rules:
        if rule.action.verb != "delete":
            continue
        for place, term in enumerate(rule.keep.terms):
            moment = term.clock.moment
            if moment.record is None and term.period is None and _OBJECTION.search(moment.column):
                message = (
                    f"the row that {quoted(rule.name)} deletes may be the only memory "
                    f"of the objection in {quoted(moment.column)}"
                )
                hint = "keep a suppression list that the rule does not touch, or clear the other columns instead"
                yield _warning(policy, _term_path(rule, place), "objection-forgotten", message, hint)


def _destroyed_clocks(policy: Policy) -> Iterator[Problem]:
    """A clock that a shorter rule deletes never tells when the longer one is over."""
    reach = {rule.name: {record.name for record, _ in destroyed(policy, rule)} for rule in policy.rules}
    for rule in policy.rules:
        for place, term in enumerate(rule.keep.terms):
            try:
                resting = {step.target for step in clock_path(policy.records, rule.record, term.clock.moment).steps}
            except NoPathError:
                continue
            for other in policy.rules:
                taken = sorted(resting & reach[other.name])
                if other is rule or not taken or rule.record in reach[other.name] or not _sooner(other, term):
                    continue
                message = (
                    f"the clock {quoted(term.clock.text)} rests on rows of {quoted(taken[0])} "
                    f"that the rule {quoted(other.name)} may delete first"
                )
                hint = "such a row then counts as never happened or still running; keep a copy of the date beside it"
                yield _warning(policy, _term_path(rule, place), "clock-destroyed", message, hint)


def _sooner(other: Rule, term: Term) -> bool:
    """True where the other rule may act before the term is over, as far as the lengths alone can say."""
    if other.keep.floor and other.action.verb == "nothing":
        return False
    lengths = [_length(theirs) for theirs in other.keep.terms]
    return (max(lengths) if other.keep.combine == "last" else min(lengths)) < _length(term)


def _length(term: Term) -> float:
    """About how many days a term lasts after its clock."""
    if term.period is None:
        return 0.0
    return term.period.months * 30.436875 + term.period.days + term.period.seconds / 86_400


def _term_path(rule: Rule, place: int) -> tuple[str | int, ...]:
    match rule.keep.combine:
        case "first":
            return ("rules", rule.index, "keep", "whichever comes first", place)
        case "last":
            return ("rules", rule.index, "keep", "whichever comes last", place)
        case _:
            return ("rules", rule.index, "keep")
