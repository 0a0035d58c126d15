"""What is recorded of data subjects, as its reader sees it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from retentiond.catalog.model import Column, Family
from retentiond.compiler.plan import Relation
from retentiond.reports.certificate import Gap, Restore
from retentiond.reports.subject import Match, Searched, SubjectCertificate
from retentiond.reports.subject_html import subject_html
from retentiond.reports.subject_search import History, Search
from tests.unit.reports.reading import Page
from tests.unit.reports.stories import ISSUED, RUN, START, facts, plain_story, policies, signer

STORY = plain_story().entries
MATCH = Match(
    line=3,
    table="sparkcentral-crm.customers",
    job="sparkcentral/contract-data@sparkcentral-crm",
    run=RUN,
    batch="b1",
    action="delete",
    at=START,
    evidence="fence",
    seq=7,
    rule=facts("sparkcentral", "marketing"),
    backups_until=date(2026, 12, 27),
    restores=(),
)
FOUND = SubjectCertificate(
    issued=ISSUED,
    tool="retentiond 0.3.0",
    policy="sparkcentral",
    subject_type="customer",
    timezone="Europe/Brussels",
    subjects=4,
    searched=(Searched("customer", "sparkcentral-crm.customers", 2, 1234, 0, exact=True),),
    not_searched=(("contact (sparkcentral-marketing.contacts)", "the table is not there any more"),),
    matches=(MATCH,),
    signed=signer(STORY)(STORY[6:8]),
)


def page_of(found: SubjectCertificate) -> Page:
    page = Page(subject_html(found))
    assert page.document == found.as_json()
    return page


def test_it_reads_like_this() -> None:
    page = page_of(FOUND)
    assert page.hidden["title"] == "What the ledger records of 4 data subjects"
    end = page.lines.index("Appendix: the entries and the signed checkpoint")
    assert page.lines[:end] == [line.strip() for line in EXPECTED.strip().splitlines()]


EXPECTED = """
retentiond 0.3.0 · issued 23 November 2026, 10:30:00 (Europe/Brussels, UTC+01:00)
What the ledger records of 4 data subjects
One entry tells of a row of these 4 data subjects (customer, of the policy sparkcentral) that was deleted or changed.
This document does not say who they are: a subject is the number of the line that named it.
What was found
Line 3: deleted on 22 November 2026, 02:00:03 (Europe/Brussels, UTC+01:00)
Table
sparkcentral-crm.customers
Policy
Sparkcentral privacy policy
Clause
VIII.4 – marketing data while mailings go out and at most 18 months after; at once when the person unsubscribes or the details turn out to be wrong or dead; mail that belongs to the service goes on
Rule
sparkcentral/contract-data@sparkcentral-crm
Kept
whichever comes first:
18 months after last_mailed_at of the contact
until unsubscribed_at of the contact
until bounced_at of the contact
until found_invalid_at of the contact
What is left
The row was taken out of its table.
In back-ups until
27 December 2026
Evidence
a counter in the source moved in the same transaction as the rows, and the result was noted at once (entry 7)
Run
5f0c6a52-6a3a-4f0e-9b53-6f0c9d1f2a10
What was searched, and what was not
customer (sparkcentral-crm.customers): the tokens of 1,234 rows in 2 batches.
Not searched
contact (sparkcentral-marketing.contacts): the table is not there any more.
What this record does not say
Whose the id was at another time: a database may give the key of a deleted row to a new one.
What is in the tables today: this is about what went, not about what is there.
What others deleted: only what retentiond did is in its ledger.
That the row was in the batch is known from its token, which only the holder of the key can make; an auditor without the key can check that the batch is in the signed ledger, and what it says.
"""  # noqa: E501 - lines as the reader has them


def test_nothing_found_is_said_plainly() -> None:
    page = page_of(replace(FOUND, matches=(), subjects=1, signed=replace(FOUND.signed, entries=())))
    assert page.hidden["title"] == "What the ledger records of one data subject"
    assert page.lines[2] == (
        "Nothing is recorded of this data subject (customer, of the policy sparkcentral): in the tables that could be "
        "searched, no row of theirs was deleted or changed by retentiond."
    )
    assert "Appendix" not in page.text
    assert page.document["matches"] == 0


def test_what_could_not_be_looked_for_is_said() -> None:
    searched = (replace(FOUND.searched[0], lost=7, exact=False),)
    text = page_of(replace(FOUND, searched=searched)).text
    assert "those of 7 rows more, or the key that they were made with, are gone" in text
    assert "Ids were compared letter by letter" in text
    assert "No table could be searched." in page_of(replace(FOUND, searched=())).text


def test_a_restore_a_mask_and_an_unknown_rule() -> None:
    match = replace(MATCH, action="pseudonymise", rule=None, backups_until=None, restores=(Restore("crm", ISSUED, 12),))
    text = page_of(replace(FOUND, matches=(match,))).text
    assert "The row is still there and is still personal data, only less of it." in text
    assert "A back-up of crm that held this row came back" in text
    assert "In back-ups until\nunknown" in text
    assert "Clause" not in text


def test_what_the_ledger_lost_cannot_be_searched() -> None:
    history = History()
    gap = {"job": MATCH.job, "source": "sparkcentral-crm", "known": 2, "found": 5}
    history.take(
        {"kind": "restore", "seq": 9, "time": "2026-11-22T01:00:03Z", "event": "state-continued", "gaps": [gap]}
    )
    assert history.gaps == [(MATCH.job, Gap("sparkcentral-crm", 3, START, 9))]
    key = Column("id", "INTEGER", Family.INTEGER)
    relation = Relation("sparkcentral-crm", "sqlite", "customers", "customers", (key,), ("id",))
    policy = policies()["sparkcentral"]
    search = Search((policy,), policy, "customer", {"1": 1}, {}, {}, {})
    for _ in range(2):
        search.note_gaps(relation, history)
    assert search.not_searched == [
        (f"3 batches of {MATCH.job}", "the ledger lost them with its state store (entry 9)"),
    ]
