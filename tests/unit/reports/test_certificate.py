"""What a certificate says follows from the entries of the ledger, and it never says more."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from retentiond.errors import UsageError
from retentiond.reports.certificate import Certificate
from retentiond.reports.certificate_facts import Story, refuse_empty
from tests.unit.reports.stories import (
    ISSUED,
    NOTE,
    PLAN,
    RUN,
    Telling,
    certificate,
    counted,
    facts,
    masking_story,
    plain_story,
    run_record,
)

CRM = "sparkcentral-crm"
DAYS_35 = {CRM: timedelta(days=35)}


def in_winter(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 12, day, hour, tzinfo=UTC)


def test_it_counts_what_the_outcomes_say_the_rules_own_table_first() -> None:
    found = certificate(plain_story())
    assert list(found.tables.items()) == [
        (f"{CRM}.customers", 1234),
        (f"{CRM}.addresses", 1100),
        (f"{CRM}.contracts", 1453),
    ]
    assert (found.rows, found.batches, found.aborted, found.unsettled) == (3787, 2, 0, 0)
    assert found.evidence == {"fence": 2}
    assert (found.first_commit, found.last_commit) == tuple(
        datetime(2026, 11, 22, 1, 0, second, tzinfo=UTC) for second in (11, 13)
    )


def test_where_there_are_schemas_the_own_table_is_first_too() -> None:
    telling = Telling()
    telling.outcome(telling.intent("b1", {f"{CRM}.public.addresses": 2, f"{CRM}.public.customers": 1}))
    assert list(certificate(telling, rule=facts()).tables) == [f"{CRM}.public.customers", f"{CRM}.public.addresses"]


def test_of_other_runs_and_other_jobs_it_says_nothing() -> None:
    telling = plain_story()
    before = certificate(telling).as_json()
    telling.outcome(telling.intent("b9", {f"{CRM}.customers": 7}, run="another"))
    telling.tell("approval", job="other/rule@crm", event="given", digest=PLAN, rows=1, guards=[], by="eve")
    telling.tell("restore", job="other/rule@crm", source=CRM, fence=0, known=2)
    telling.tell("prune", batches=3, before="2020-01-01T00:00:00Z")
    after = certificate(telling).as_json()
    assert (before.pop("ledger"), after.pop("ledger")) != (None, None)
    assert after == before


def test_what_was_rolled_back_counts_for_nothing() -> None:
    telling = plain_story()
    telling.outcome(telling.intent("b3", {f"{CRM}.customers": 500}), "aborted")
    found = certificate(telling)
    assert (found.rows, found.aborted, found.unsettled) == (3787, 1, 0)


@pytest.mark.parametrize("status", ["unresolved", ""])
def test_a_batch_without_a_known_end_is_named_and_nothing_is_final(status: str) -> None:
    telling = plain_story()
    intent = telling.intent("b3", {f"{CRM}.customers": 500})
    if status:
        telling.outcome(intent, status)
    found = certificate(telling, issued=in_winter(30))
    assert (found.rows, found.unsettled, found.final) == (3787, 1, False)


def test_what_was_unresolved_and_then_was_not_is_settled() -> None:
    telling = plain_story()
    intent = telling.intent("b3", {f"{CRM}.customers": 500})
    telling.outcome(intent, "unresolved")
    telling.outcome(intent, evidence="recovered")
    found = certificate(telling)
    assert (found.rows, found.unsettled, found.evidence) == (4287, 0, {"fence": 2, "recovered": 1})


@pytest.mark.parametrize("status", ["aborted", "unresolved", None])
def test_a_run_that_destroyed_nothing_gets_no_certificate(status: str | None) -> None:
    telling = Telling()
    intent = telling.intent("b1", {f"{CRM}.customers": 5})
    if status:
        telling.outcome(intent, status)
    story = Story(run_record())
    for entry in telling.entries:
        story.take(entry)
    with pytest.raises(UsageError, match="destroyed nothing") as error:
        refuse_empty(story)
    assert error.value.code == "nothing-destroyed"
    assert bool(error.value.hint) == (status != "aborted")


class TestTitle:
    """It is a record until nothing can bring the rows back."""

    @pytest.mark.parametrize(
        ("issued", "final"),
        [
            (ISSUED, False),
            (in_winter(27, 22), False),  # the last day, in Brussels
            (in_winter(27, 23), True),  # midnight there
        ],
    )
    def test_it_changes_with_the_day_after_the_last_back_up(self, issued: datetime, final: bool) -> None:
        found = certificate(plain_story(), kept=DAYS_35, issued=issued)
        assert found.backups[0].until == date(2026, 12, 27)
        assert found.title == ("Certificate of deletion" if final else "Record of deletion from live systems")

    def test_an_undeclared_period_never_ends(self) -> None:
        for kept in ({}, {CRM: None}):
            found = certificate(plain_story(), kept=kept, issued=ISSUED + timedelta(days=20_000))
            assert found.title == "Record of deletion from live systems"
            assert found.as_json()["backups"] == [
                {"source": CRM, "last_change": "2026-11-22T01:00:13Z", "kept_days": None, "until": "unknown"}
            ]

    def test_each_source_has_its_own(self) -> None:
        telling = plain_story()
        telling.outcome(telling.intent("b3", {"support.tickets": 1}))
        found = certificate(telling, kept=DAYS_35 | {"support": timedelta(days=90)}, issued=in_winter(28))
        assert [(one.source, one.until) for one in found.backups] == [
            (CRM, date(2026, 12, 27)),
            ("support", date(2027, 2, 20)),
        ]
        assert not found.final

    def test_rows_that_are_there_again_speak_against_it(self) -> None:
        again = counted({f"{CRM}.customers": (1234, 1)})
        assert not certificate(plain_story(), recount=again, issued=in_winter(30)).final

    def test_it_names_the_verb_as_it_is(self) -> None:
        telling, run = masking_story()
        kept = {"sparkcentral-support": timedelta(days=7)}
        found = certificate(telling, run=run, kept=kept, recount=counted())
        assert found.title == "Record of anonymisation in live systems"
        later = certificate(telling, run=run, kept=kept, recount=counted(), issued=in_winter(30))
        assert later.title == "Certificate of anonymisation"
        for action, word in (("pseudonymise", "pseudonymised"), ("clear", "cleared")):
            said = replace(found, action=action).as_json()
            assert said["verb"] == word
            assert "still personal data" in str(said["personal_data_left"])


class TestRestore:
    """A back-up that came back is told, if it went back to before the run."""

    @pytest.mark.parametrize(("fence", "told"), [(0, 1), (1, 1), (2, 0)])
    def test_only_one_that_went_back_far_enough(self, fence: int, told: int) -> None:
        telling = plain_story()
        telling.tell("restore", job=telling.job, source=CRM, fence=fence, known=2)
        found = certificate(telling, issued=in_winter(30))
        assert len(found.restores) == told
        assert found.final == (not told)

    def test_one_before_the_run_is_another_matter(self) -> None:
        telling = Telling()
        telling.tell("restore", job=telling.job, source=CRM, fence=0, known=0)
        telling.outcome(telling.intent("b1", {f"{CRM}.customers": 1}))
        assert certificate(telling, rule=facts()).restores == ()


class TestGap:
    """A state store that was lost took entries with it; some may have been of this run."""

    def test_it_is_told_and_nothing_is_final(self) -> None:
        telling = plain_story()
        told = [{"job": telling.job, "source": CRM, "known": 2, "found": 5}]
        telling.tell("restore", event="state-continued", gaps=[*told, {**told[0], "job": "other/rule@crm"}])
        found = certificate(telling, issued=in_winter(30))
        assert [(gap.source, gap.steps, gap.seq) for gap in found.gaps] == [(CRM, 3, 10)]
        assert not found.final
        assert found.signed.entries[-1].seq == 10

    def test_one_of_other_rules_says_nothing_of_this(self) -> None:
        telling = plain_story()
        gap = {"job": "other/rule@crm", "source": CRM, "known": 2, "found": 5}
        telling.tell("restore", event="state-continued", gaps=[gap])
        assert certificate(telling, issued=in_winter(30)).final


class TestApproval:
    """Who allowed exactly this plan, before it began."""

    def said(self, found: Certificate) -> list[tuple[str, str]]:
        return [(one.event, one.by) for one in found.approvals]

    def test_the_last_word_counts(self) -> None:
        telling = Telling()
        telling.approval("given", "eve")
        telling.approval("withdrawn", "marie")
        telling.approval("requested", "anke")
        telling.approval("given", "marie")
        telling.approval("given", "mallory", digest="another plan")
        telling.outcome(telling.intent("b1", {f"{CRM}.customers": 1}))
        telling.approval("withdrawn", "marie")
        assert self.said(certificate(telling, rule=facts())) == [("requested", "anke"), ("given", "marie")]

    def test_none_is_none(self) -> None:
        telling = Telling()
        telling.outcome(telling.intent("b1", {f"{CRM}.customers": 1}))
        assert certificate(telling, rule=facts()).approvals == ()


def test_holds_are_those_in_force_at_the_end_by_kind() -> None:
    telling = Telling()
    telling.hold("added", "a", "proceedings")
    telling.hold("added", "b", "proceedings", policy=None)
    telling.hold("added", "c", "authority")
    telling.hold("added", "d", "restriction", policy="blooom")
    telling.hold("release-requested", "a", "proceedings")
    telling.hold("released", "c", "authority")
    telling.outcome(telling.intent("b1", {f"{CRM}.customers": 1}))
    telling.hold("added", "e", "authority")
    assert certificate(telling, rule=facts()).held_back.holds == {"proceedings": 2}


@pytest.mark.parametrize("second", [{}, {"first": "2012-01-31"}, None])
def test_due_dates_are_said_only_where_every_batch_says_them(second: dict[str, str] | None) -> None:
    telling = plain_story()
    assert certificate(telling).due == (date(2013, 2, 1), date(2026, 11, 21))
    more = {f"{CRM}.customers": 1}
    telling.outcome(telling.intent("b3", more, due={"first": "2012-01-31", "last": "2012-02-01"}))
    assert certificate(telling).due == (date(2012, 1, 31), date(2026, 11, 21))
    telling.outcome(telling.intent("b4", more, due=second))
    assert certificate(telling).due is None


def test_clocks_are_compared_where_both_are_known() -> None:
    telling = Telling()
    assert_at = "2026-11-22T01:00:00Z"
    tables = {f"{CRM}.customers": 1}
    telling.outcome(telling.intent("b1", tables, clock={"host": assert_at, "database": "2026-11-22T00:59:58.500000Z"}))
    telling.outcome(telling.intent("b2", tables, clock={"host": assert_at, "database": None}))
    clocks = certificate(telling, rule=facts()).clocks
    assert clocks is not None
    assert (clocks.apart, clocks.database) == (1.5, datetime(2026, 11, 22, 0, 59, 58, 500000, tzinfo=UTC))


def test_a_file_has_no_clock() -> None:
    telling = Telling()
    only = {"host": "2026-11-22T01:00:00Z", "database": None}
    telling.outcome(telling.intent("b1", {f"{CRM}.customers": 1}, clock=only))
    found = certificate(telling, rule=facts())
    assert found.as_json()["clocks"] == only | {"apart_seconds": None}


class TestWords:
    """The words of the rule are those of then, where the ledger has them."""

    def test_recorded_ones_count(self) -> None:
        found = certificate(plain_story(), rule=facts() | {"clause": "other"})
        assert (found.rule["clause"], found.recorded) == ("VIII.2", True)

    def test_even_if_the_first_batch_was_rolled_back(self) -> None:
        telling = Telling()
        telling.outcome(telling.intent("b1", {f"{CRM}.customers": 1}, rule=facts()), "aborted")
        telling.outcome(telling.intent("b2", {f"{CRM}.customers": 1}))
        assert certificate(telling).recorded

    def test_else_those_of_today(self) -> None:
        telling = Telling()
        telling.outcome(telling.intent("b1", {f"{CRM}.customers": 1}))
        found = certificate(telling, rule=facts())
        assert (found.rule["clause"], found.recorded) == ("VIII.2", False)

    def test_and_without_any_there_is_no_certificate(self) -> None:
        telling = Telling()
        telling.outcome(telling.intent("b1", {f"{CRM}.customers": 1}))
        with pytest.raises(UsageError, match="what sparkcentral/contract-data@sparkcentral-crm meant") as error:
            certificate(telling)
        assert error.value.code == "rule-gone"


def test_the_document_is_json_and_rests_on_entries_that_it_holds() -> None:
    telling = plain_story()
    document = json.loads(json.dumps(certificate(telling).as_json()))
    assert document["ledger"]["checkpoint"] == NOTE
    entries = [json.loads(entry["leaf"]) for entry in document["ledger"]["entries"]]
    assert [entry["kind"] for entry in entries] == ["approval", "intent", "outcome", "intent", "outcome"]
    summed: dict[str, int] = {}
    for entry in entries:
        if entry["kind"] == "outcome":
            for label, count in entry["tables"].items():
                summed[label] = summed.get(label, 0) + count
    assert document["tables"] == summed
    assert document["run"]["id"] == RUN


def test_no_hold_is_named() -> None:
    text = json.dumps(certificate(plain_story()).as_json())
    assert '"h1"' not in text
    assert "subjects" not in text
