"""One row under one rule: how terms combine, in which order the questions are asked, what holds a row back."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from retentiond.policy.clocks import ClockType, ClockValue, Special
from retentiond.policy.evaluator import (
    State,
    Verdict,
    classify,
    evaluate_row,
    explain_keep,
    floor_holds,
    judge_keep,
    term_state,
)
from retentiond.policy.expression import Column, Compare, Constant
from retentiond.policy.model import (
    Action,
    Clock,
    Combine,
    Keep,
    Link,
    Method,
    Moment,
    Period,
    Policy,
    Record,
    Rule,
    Term,
    Verb,
    Where,
    Which,
)

SUSPECT, RUNNING, NEVER, ENDLESS = Special.SUSPECT, Special.RUNNING, Special.NEVER, Special.ENDLESS
BRUSSELS = ZoneInfo("Europe/Brussels")
YEAR, TEN_YEARS = Period(12, 0, 0, "1 year"), Period(120, 0, 0, "10 years")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD, NEW = date(2010, 1, 1), date(2026, 1, 1)
OLD_DUE = datetime(2011, 1, 1, 23, tzinfo=UTC)
NEW_DUE = datetime(2027, 1, 1, 23, tzinfo=UTC)


def term(column: str, period: Period | None = YEAR, record: str | None = None, which: Which | None = None) -> Term:
    name = f"{which} " if which else ""
    return Term(period, Clock(Moment(column, record, which), None, f"{name}{record}.{column}" if record else column))


def keep(combine: Combine, *terms: Term, floor: bool = False) -> Keep:
    return Keep(terms, combine, floor)


@pytest.mark.parametrize(
    ("combine", "values", "state"),
    [
        ("only", [OLD], OLD_DUE),
        ("only", [RUNNING], RUNNING),
        ("only", [NEVER], NEVER),
        ("only", [ENDLESS], ENDLESS),
        ("only", [SUSPECT], SUSPECT),
        ("first", [NEW, OLD], OLD_DUE),
        ("first", [RUNNING, OLD], OLD_DUE),
        ("first", [NEVER, ENDLESS], ENDLESS),
        ("first", [ENDLESS, NEW], NEW_DUE),
        ("first", [OLD, SUSPECT], SUSPECT),
        ("first", [RUNNING, NEVER], RUNNING),
        ("first", [NEVER, NEVER], NEVER),
        ("last", [NEW, OLD], NEW_DUE),
        ("last", [RUNNING, OLD], RUNNING),
        ("last", [NEVER, OLD], OLD_DUE),
        ("last", [NEVER, RUNNING], RUNNING),
        ("last", [NEVER, NEVER], NEVER),
        ("last", [ENDLESS, OLD], ENDLESS),
        ("last", [NEVER, ENDLESS], ENDLESS),
        ("last", [RUNNING, SUSPECT], SUSPECT),
    ],
)
def test_how_terms_combine(combine: Combine, values: Sequence[ClockValue], state: State) -> None:
    terms = [term(name) for name in "ab"[: len(values)]]
    assert judge_keep(keep(combine, *terms), values, [BRUSSELS] * len(values)) == state


def test_each_term_runs_in_the_zone_of_its_record() -> None:
    zones = [ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")]
    both = keep("last", term("a"), term("b"))
    assert judge_keep(both, [OLD, OLD], zones) == datetime(2011, 1, 2, 5, tzinfo=UTC)
    assert term_state(term("a"), OLD, zones[0]) == datetime(2011, 1, 1, 18, 30, tzinfo=UTC)


def test_an_explanation_shows_each_term_and_what_decides() -> None:
    explained = explain_keep(keep("first", term("a"), term("b"), term("c")), [NEW, OLD, RUNNING], [BRUSSELS] * 3)
    assert explained.state == OLD_DUE
    assert [(one.text, one.clock, one.value, one.due, one.decides) for one in explained.terms] == [
        ("1 year after a", "a", NEW, NEW_DUE, False),
        ("1 year after b", "b", OLD, OLD_DUE, True),
        ("1 year after c", "c", RUNNING, None, False),
    ]


@pytest.mark.parametrize(
    ("due", "verdict"),
    [
        (SUSPECT, Verdict.SUSPECT),
        (RUNNING, Verdict.NOT_STARTED),
        (NEVER, Verdict.NOT_STARTED),
        (ENDLESS, Verdict.NOT_YET),
        (NEW_DUE, Verdict.NOT_YET),
    ],
)
def test_only_an_expired_row_is_held_or_floored(due: State, verdict: Verdict) -> None:
    for held, floored in product((True, False), repeat=2):
        assert classify(due, NOW, held=held, floored=floored) is verdict


def test_a_hold_is_asked_before_a_floor() -> None:
    assert classify(OLD_DUE, NOW, held=True, floored=True) is Verdict.HELD
    assert classify(OLD_DUE, NOW, held=False, floored=True) is Verdict.FLOORED
    assert classify(OLD_DUE, NOW, held=False, floored=False) is Verdict.DUE
    assert classify(NOW, NOW, held=False, floored=False) is Verdict.DUE


@pytest.mark.parametrize("due", [SUSPECT, RUNNING, NEVER, ENDLESS, NEW_DUE])
def test_a_floor_holds_unless_it_is_known_to_have_ended(due: State) -> None:
    assert floor_holds(where=True, due=due, at=NOW)
    assert floor_holds(where=None, due=due, at=NOW)
    assert not floor_holds(where=False, due=due, at=NOW)
    assert not floor_holds(where=True, due=NOW, at=NOW)
    assert not floor_holds(where=None, due=OLD_DUE, at=NOW)


# -- rows -------------------------------------------------------------------------------------------------------------

RECORDS = (
    Record("customer", ("crm",), "customers", cascade=("contract", "addresses"), timezone="Europe/Brussels"),
    Record(
        "contract",
        ("crm",),
        "contracts",
        belongs_to=(Link("customer", "customer_id"),),
        cascade=("invoices",),
        timezone="Europe/Brussels",
        held="frozen",
        never_happened=("renewed_at",),
    ),
    Record("invoice", ("c*",), "invoices", timezone="Europe/Brussels", formats=(("paid_on", "%d.%m.%Y"),)),
    Record("vip", ("crm",), "customers", held="legal_hold", marker="masked_at", timezone="Europe/Brussels"),
)


def rule(
    record: str,
    what: Keep,
    verb: Verb = "delete",
    where: tuple[str, str] | None = None,
    name: str = "r",
    columns: tuple[str, ...] = (),
    masks: tuple[str, ...] = (),
) -> Rule:
    condition = Where("", Compare("=", Column(where[0]), Constant(where[1]))) if where else None
    action = Action(verb, tuple((column, Method("empty")) for column in masks))
    return Rule(name, record, "", what, action, 0, where=condition, columns=columns)


def policy(*rules: Rule) -> Policy:
    return Policy("p.yaml", 1, "p", "P", RECORDS, rules)


LAST_CONTRACT = rule("customer", keep("only", term("ended_at", TEN_YEARS, "contract", "last")))
FLOOR = rule("invoice", keep("only", term("paid_on", TEN_YEARS), floor=True), "nothing", name="floor")


@pytest.mark.parametrize(
    ("contracts", "at", "verdict"),
    [
        ([{"ended_at": "2016-02-29 10:00"}], "2026-02-28T23:59:59+01:00", "not yet"),
        ([{"ended_at": "2016-02-29 10:00"}], "2026-03-01T00:00:00+01:00", "due"),
        ([{"ended_at": "2016-02-29 10:00"}, {"ended_at": None}], "2026-03-01T00:00:00+01:00", "not started"),
        ([{"ended_at": "2016-02-29"}, {"ended_at": "0000-00-00"}], "2026-03-01T00:00:00+01:00", "suspect"),
        ([{"ended_at": None}, {"ended_at": "1970-01-01"}], "2026-03-01T00:00:00+01:00", "suspect"),
        ([{"ended_at": "9999-12-31"}], "2026-03-01T00:00:00+01:00", "not yet"),
        ([], "2026-03-01T00:00:00+01:00", "not started"),
    ],
)
def test_the_last_related_row_decides(contracts: list[dict[str, object]], at: str, verdict: str) -> None:
    moment = datetime.fromisoformat(at)
    assert evaluate_row(policy(LAST_CONTRACT), LAST_CONTRACT, {}, {"contract": contracts}, moment) == verdict


def test_a_rule_governs_only_rows_its_condition_is_true_for() -> None:
    closed = rule("customer", keep("only", term("closed_at", None)), where=("status", "closed"))
    for status, verdict in (("closed", Verdict.DUE), ("open", None), (None, None)):
        row = {"status": status, "closed_at": OLD}
        assert evaluate_row(policy(closed), closed, row, {}, NOW) is verdict


def test_a_masked_row_is_done() -> None:
    masking = rule("vip", keep("only", term("closed_at", None)), "clear", masks=("name",))
    assert evaluate_row(policy(masking), masking, {"closed_at": OLD}, {}, NOW) is Verdict.DUE
    assert evaluate_row(policy(masking), masking, {"closed_at": OLD, "masked_at": NOW}, {}, NOW) is None


def test_types_and_formats_say_how_a_clock_is_read() -> None:
    paid = rule("invoice", keep("only", term("paid_on")))
    assert evaluate_row(policy(paid), paid, {"paid_on": "01.02.2010"}, {}, NOW) is Verdict.DUE
    assert evaluate_row(policy(paid), paid, {"paid_on": "2010-02-01"}, {}, NOW) is Verdict.SUSPECT
    seen = rule("customer", keep("only", term("seen")))
    types = {("customer", "seen"): ClockType.EPOCH_S}
    assert evaluate_row(policy(seen), seen, {"seen": 1_300_000_000}, {}, NOW, types) is Verdict.DUE
    assert evaluate_row(policy(seen), seen, {"seen": 1_300_000_000}, {}, NOW) is Verdict.SUSPECT
    for value in (OLD, datetime(2010, 1, 1, tzinfo=UTC), datetime(2010, 1, 1, tzinfo=UTC).replace(tzinfo=None)):
        assert evaluate_row(policy(seen), seen, {"seen": value}, {}, NOW) is Verdict.DUE


def test_what_never_happened_does_not_stop_the_last_of_a_list() -> None:
    two = rule("contract", keep("last", term("renewed_at"), term("ended_at")))
    assert evaluate_row(policy(two), two, {"renewed_at": None, "ended_at": OLD}, {}, NOW) is Verdict.DUE
    assert evaluate_row(policy(two), two, {"renewed_at": OLD, "ended_at": None}, {}, NOW) is Verdict.NOT_STARTED


def test_the_row_above_is_one_of_the_related_rows() -> None:
    up = rule("contract", keep("only", term("left_at", YEAR, "customer")))
    assert evaluate_row(policy(up), up, {}, {"customer": [{"left_at": OLD}]}, NOW) is Verdict.DUE
    assert evaluate_row(policy(up), up, {}, {"customer": [{"left_at": None}]}, NOW) is Verdict.NOT_STARTED
    assert evaluate_row(policy(up), up, {}, {}, NOW) is Verdict.NOT_STARTED


def test_a_hold_of_any_record_on_the_table_holds() -> None:
    gone = rule("customer", keep("only", term("left_at")))
    for value, verdict in ((True, Verdict.HELD), (1, Verdict.HELD), (0, Verdict.DUE), (None, Verdict.DUE)):
        assert evaluate_row(policy(gone), gone, {"left_at": OLD, "legal_hold": value}, {}, NOW) is verdict


def test_a_child_of_the_cascade_keeps_its_parent() -> None:
    everything = policy(LAST_CONTRACT, FLOOR)
    contracts: list[dict[str, object]] = [{"ended_at": OLD}, {"ended_at": OLD, "frozen": True}]
    held = evaluate_row(everything, LAST_CONTRACT, {}, {"contract": contracts}, NOW)
    assert held is Verdict.HELD
    for paid, verdict in (("01.02.2020", Verdict.FLOORED), ("01.02.2010", Verdict.DUE), (None, Verdict.FLOORED)):
        invoices: list[dict[str, object]] = [{"paid_on": paid}]
        related = {"contract": contracts[:1], "invoice": invoices}
        assert evaluate_row(everything, LAST_CONTRACT, {}, related, NOW) is verdict


def test_a_floor_keeps_the_columns_it_names_and_the_whole_row_from_deletion() -> None:
    limited = rule(
        "invoice", keep("only", term("paid_on", TEN_YEARS), floor=True), "nothing", columns=("total",), name="floor"
    )
    row = {"paid_on": "01.02.2020", "sent_at": OLD}
    sent = keep("only", term("sent_at"))
    for action, verdict in (
        (rule("invoice", sent), Verdict.FLOORED),
        (rule("invoice", sent, "clear", masks=("email",)), Verdict.DUE),
        (rule("invoice", sent, "clear", masks=("email", "total")), Verdict.FLOORED),
    ):
        assert evaluate_row(policy(limited, action), action, row, {}, NOW) is verdict


def test_a_floor_s_condition_must_be_false_to_let_go() -> None:
    floor = rule("invoice", FLOOR.keep, "nothing", where=("kind", "tax"), name="floor")
    gone = rule("invoice", keep("only", term("sent_at")))
    for kind, verdict in (("tax", Verdict.FLOORED), (None, Verdict.FLOORED), ("other", Verdict.DUE)):
        row = {"paid_on": "01.02.2020", "sent_at": OLD, "kind": kind}
        assert evaluate_row(policy(floor, gone), gone, row, {}, NOW) is verdict


def test_a_floor_that_deletes_does_not_stop_itself() -> None:
    floor = rule("invoice", FLOOR.keep, name="floor")
    assert evaluate_row(policy(floor), floor, {"paid_on": "01.02.2010"}, {}, NOW) is Verdict.DUE
    assert evaluate_row(policy(floor), floor, {"paid_on": "01.02.2020"}, {}, NOW) is Verdict.NOT_YET
