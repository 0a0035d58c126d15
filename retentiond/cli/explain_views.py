"""How an explained row looks: sentences for people, a document for programs."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from retentiond.cli.moments import shown
from retentiond.cli.output import counted
from retentiond.engine.report import instant_text
from retentiond.policy.clocks import ClockValue, Special
from retentiond.policy.evaluator import TermExplanation
from retentiond.reports.explain import Held, Kept, RowView, RuleView
from retentiond.reports.hold_reasons import HeldBy

_DONE = {"delete": "deleted", "anonymise": "anonymised", "pseudonymise": "pseudonymised", "clear": "cleared"}


def lines(row: RowView, zone: ZoneInfo) -> Iterator[str]:
    """The row in sentences; instants on the clock of each rule's policy."""
    yield f"{row.policy}/{row.record}: one row of {row.source}.{row.table}, as at {shown(row.at, zone)} {zone.key}"
    for name, message in row.blocked:
        yield f"  {name}: nothing can be told now: {message}"
    if not (row.rules or row.blocked):
        yield "  no rule deletes or changes rows of this table by itself"
    for rule in row.rules:
        yield ""
        yield from _rule_lines(rule)
    if row.holds:
        yield ""
        yield "legal holds on this row:"
        for hold in row.holds:
            yield f"  {_hold_text(hold)}"
    if row.floors:
        yield ""
        yield "floors on this row:"
        for floor in row.floors:
            yield f"  {_floor_text(floor, zone)}"
    if row.goes_with:
        yield ""
        yield f"goes too where a row that it belongs to goes by: {', '.join(row.goes_with)}"


def _rule_lines(rule: RuleView) -> Iterator[str]:
    zone = ZoneInfo(rule.zone)
    yield f"{rule.policy}/{rule.rule} ({rule.clause}): {rule.action}, {rule.keep}"
    for term in rule.terms:
        yield f"  {_term_text(term, rule, zone)}"
    for held in rule.held:
        yield f"  held: {counted(held.rows, 'row')} of {held.table} ({', '.join(held.columns)})"
    for hold in rule.holds:
        yield f"  legal hold on {counted(hold.rows, 'row')} of {hold.table}: {_hold_text(hold)}"
    for floor in rule.floors:
        yield f"  floor: {_floor_text(floor, zone)}"
    rows = [f"{counted(count)} of {table}" for table, count in rule.cascade]
    if rows:
        yield f"  goes with it: {', '.join(rows)}"
    yield f"  {rule.verdict.replace('_', ' ')}: {_fate(rule, zone)}"


def _term_text(term: TermExplanation, rule: RuleView, zone: ZoneInfo) -> str:
    due = f", over {shown(term.due, zone)} {rule.zone}" if term.due else ""
    decides = " (this decides)" if term.decides and len(rule.terms) > 1 else ""
    return f"{term.clock}: {_value(term.value)}{due}{decides}"


def _floor_text(floor: Kept, zone: ZoneInfo) -> str:
    until = f"until {shown(floor.until, zone)} {zone.key}" if floor.until else "with no end known yet"
    law = f", {floor.law}" if floor.law else ""
    rows = f"{counted(floor.rows, 'row')} of {floor.table}"
    return f"{floor.policy}/{floor.rule} ({floor.clause}{law}) keeps {rows} {until}"


def _hold_text(hold: HeldBy) -> str:
    return f"{hold.kind}, {hold.matter}, looked at again on {hold.review} ({hold.hold})"


def _fate(rule: RuleView, zone: ZoneInfo) -> str:
    """What will happen, in a sentence."""
    done = _DONE.get(rule.action, rule.action)
    when = f"{shown(rule.goes, zone)} {rule.zone}" if rule.goes else ""
    match rule.verdict:
        case "outside":
            return "the rule's condition is not true of it; the rule leaves it alone"
        case "done":
            return f"it has been {done} already"
        case "suspect":
            return "a date here cannot be true; it is left alone until somebody corrects it"
        case "not_started":
            return "what ends its time has not happened; it stays"
        case "due":
            return f"it is {done} by the next run ({rule.schedule}), due since {shown(rule.due, zone)} {rule.zone}"
        case "not_yet" if when:
            return f"it stays until {when}, and is {done} by the first run after that ({rule.schedule})"
        case "not_yet":
            return "it stays: nothing says yet when it may go"
        case "held":
            return "its time is over, but it is held; it stays until that is lifted"
        case _:
            return f"its time is over, but a law keeps it {f'until {when}' if when else 'with no end known yet'}"


def _value(value: ClockValue) -> str:
    if isinstance(value, Special):
        return value.value
    return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()


def row_as_json(row: RowView) -> dict[str, object]:
    """The row of the document."""
    return {
        "source": row.source,
        "table": row.table,
        "rules": [_rule_as_json(rule) for rule in row.rules],
        "holds": [_hold_as_json(hold) for hold in row.holds],
        "floors": [_floor_as_json(floor) for floor in row.floors],
        "goes_with": list(row.goes_with),
        "blocked": [{"rule": name, "message": message} for name, message in row.blocked],
    }


def _rule_as_json(rule: RuleView) -> dict[str, object]:
    return {
        "policy": rule.policy,
        "rule": rule.rule,
        "clause": rule.clause,
        "action": rule.action,
        "keep": rule.keep,
        "class": rule.verdict,
        "due": instant_text(rule.due),
        "goes": instant_text(rule.goes),
        "effective": instant_text(rule.effective),
        "schedule": rule.schedule,
        "what": _fate(rule, ZoneInfo(rule.zone)),
        "clocks": [_term_as_json(term) for term in rule.terms],
        "held": [_held_as_json(held) for held in rule.held],
        "holds": [_hold_as_json(hold) for hold in rule.holds],
        "floors": [_floor_as_json(floor) for floor in rule.floors],
        "cascade": dict(rule.cascade),
    }


def _term_as_json(term: TermExplanation) -> dict[str, object]:
    return {
        "term": term.text,
        "clock": term.clock,
        "value": None if isinstance(term.value, Special) else term.value.isoformat(),
        "state": term.value.value if isinstance(term.value, Special) else "started",
        "due": instant_text(term.due),
        "decides": term.decides,
    }


def _held_as_json(held: Held) -> dict[str, object]:
    return {"table": held.table, "rows": held.rows, "columns": list(held.columns)}


def _hold_as_json(hold: HeldBy) -> dict[str, object]:
    return {
        "hold": hold.hold,
        "kind": hold.kind,
        "matter": hold.matter,
        "review": hold.review.isoformat(),
        "table": hold.table,
        "rows": hold.rows,
    }


def _floor_as_json(floor: Kept) -> dict[str, object]:
    return {
        "rule": f"{floor.policy}/{floor.rule}",
        "clause": floor.clause,
        "law": floor.law or None,
        "table": floor.table,
        "rows": floor.rows,
        "until": instant_text(floor.until),
    }
