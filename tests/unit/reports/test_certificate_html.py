"""The document as a reader sees it; how it looks was looked at, and is not tested."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.reports.certificate import Clocks, Gap
from retentiond.reports.certificate_html import certificate_html
from retentiond.reports.html import Html, data_block, joined, tag
from tests.unit.reports.reading import Page, root_from
from tests.unit.reports.stories import START, certificate, counted, facts, masking_story, plain_story, run_record


def test_it_reads_like_this() -> None:
    page = Page(certificate_html(certificate(plain_story())))
    assert page.hidden["title"] == "Record of deletion from live systems"
    assert page.lines[1:] == [line.strip() for line in EXPECTED.strip().splitlines()]
    assert page.lines[0].startswith("retentiond ")
    assert page.lines[0].endswith(" · issued 23 November 2026, 10:30:00 (Europe/Brussels, UTC+01:00)")


EXPECTED = """
Record of deletion from live systems
On 22 November 2026 between 02:00:11 and 02:00:13 (Europe/Brussels), 1,234 rows of sparkcentral-crm.customers, 1,100 rows of sparkcentral-crm.addresses and 1,453 rows of sparkcentral-crm.contracts were deleted.
They were taken out of these tables; nothing of them stayed there.
Back-ups of sparkcentral-crm may hold these rows until 27 December 2026.
What was deleted
| Table | Rows deleted
| sparkcentral-crm.customers | 1,234
| sparkcentral-crm.addresses | 1,100
| sparkcentral-crm.contracts | 1,453
| Together | 3,787
On whose promise
Controllers
Sparkcentral Europe NV and Sparkcentral Inc.
Role of the operator
controller
Policy
Sparkcentral privacy policy, published 7 April 2020
Policy file
SHA-256 27244d00813ce41f29bfefdd43e45490f648aaceeace9c293db82e7f98f22956
Clause
VIII.2 – contract data for the whole relationship and the ten years after it ends
Rule
sparkcentral/contract-data
Purpose of the data
performing the contract
Legal basis
contract
Kept
10 years after the last ended_at of its contract rows
Time zone
Europe/Brussels
Fell due
from 1 February 2013 to 21 November 2026
These words stand in the ledger, as they were when the run began.
What stayed, and why
| Rows of sparkcentral/contract-data that stayed, and why | Rows
| their time is over, but a legal hold or a column of their own says hands off | 2
| their time is over, but a law demands that they be kept longer | 3
| a date in them cannot be true; somebody has to correct it first | 1
| what starts their period has not happened | 40
Legal holds in force for this policy when the run ended – legal proceedings: 1.
Counted on 22 November 2026, 02:00:03 (Europe/Brussels, UTC+01:00); these counts are the program's own and not part of the signed ledger.
What this record does not say
What “gone” means
Logical: whoever asks the database gets these rows no more. Their bytes may remain in free space of its files, in write-ahead, binary and undo logs and in replicas, until the database uses that space again.
Back-ups
Back-ups of sparkcentral-crm may hold these rows until 27 December 2026. They are kept for 35 days, as declared in the settings.
Systems out of reach
The policy names these as not covered:
back-ups and archives of all databases (IT operations)
the mail service that sends the newsletter and keeps its own recipient lists (marketing operations)
What else is not covered
Copies that nobody told us of: exports, mails, print-outs, caches, databases that no policy names.
How it is known
Run
5f0c6a52-6a3a-4f0e-9b53-6f0c9d1f2a10
Asked for by
anke
Approved
given by marie on 22 November 2026, 02:00:06 (Europe/Brussels, UTC+01:00) (entry 2)
Plan
SHA-256 64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525
Evidence
2 batches: a counter in the source moved in the same transaction as the rows, and the result was noted at once.
How the run ended
done
Clocks
When the run began the host said 2026-11-22 01:00:09 UTC, the database 2026-11-22 01:00:09 UTC; they were never more than 0.0 s apart.
Counted again
On 23 November 2026, 10:30:00 (Europe/Brussels, UTC+01:00), by a query of its own: 0 rows in the tables, of 2,687 whose keys the ledger’s tokens stand for.
Made with
retentiond 0.3.0
Signature
The 5 entries of the ledger that this record rests on are part of a tree of 10 entries, whose root was signed with Ed25519 by retentiond/made-up. Whoever has the public key can check each of them without asking us, and without seeing anything of anybody.
The words of the policy file, the counts of what stayed, the period of back-ups and the count made again are not covered by the signature, unless the text says that the ledger recorded them.
Appendix: the entries and the signed checkpoint
| Entry | Time | Kind | What it says
| 2 | 2026-11-22T01:00:06Z | approval | given
| 6 | 2026-11-22T01:00:10Z | intent | delete; sparkcentral-crm.addresses 1,100, sparkcentral-crm.contracts 1,203, sparkcentral-crm.customers 1,000
| 7 | 2026-11-22T01:00:11Z | outcome | destroyed; sparkcentral-crm.addresses 1,100, sparkcentral-crm.contracts 1,203, sparkcentral-crm.customers 1,000; by fence
| 8 | 2026-11-22T01:00:12Z | intent | delete; sparkcentral-crm.contracts 250, sparkcentral-crm.customers 234
| 9 | 2026-11-22T01:00:13Z | outcome | destroyed; sparkcentral-crm.contracts 250, sparkcentral-crm.customers 234; by fence
Checkpoint
retentiond/made-up
12
uVbW0aaUnUbvVKQDJMbJ8rdHAzC6iG8EbuP9BZqzB+k=
— retentiond/made-up GisrPEFB
Public keys
retentiond/made-up+1a2b3c4d+AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=
This file also holds, in its element with the id “document”, the entries byte for byte, the path of hashes from each to the root, and all of the above as JSON; with --format json it is printed alone. Trees and proofs follow RFC 6962, the checkpoint C2SP’s signed notes. Compare the public key with the one that you were given at another time, by another way: a key out of the same file proves nothing.
"""  # noqa: E501 - lines as the reader has them


def test_it_holds_the_document_for_programs() -> None:
    found = certificate(plain_story())
    document = Page(certificate_html(found)).document
    assert document == found.as_json()
    ledger = document["ledger"]
    assert {root_from(entry, ledger["size"]).hex() for entry in ledger["entries"]} == {ledger["root"]}


def test_it_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    text = certificate_html(certificate(plain_story()))
    page = Page(text)
    assert {"src", "href", "onload", "style"} & {name for _, attributes in page.tags for name in attributes} == set()
    assert "url(" not in page.hidden["style"]
    assert "@import" not in page.hidden["style"]
    kinds = [attributes.get("type") for name, attributes in page.tags if name == "script"]
    assert kinds == ["application/json"]
    contents = [attributes.get("content") for _, attributes in page.tags]
    assert "default-src 'none'; style-src 'unsafe-inline'" in contents
    assert "@media print" in page.hidden["style"]
    assert "prefers-color-scheme: dark" in page.hidden["style"]


def text_of(**changes: Any) -> str:
    return Page(certificate_html(replace(certificate(plain_story()), **changes))).text


def test_a_mask_says_that_the_rows_are_still_there() -> None:
    telling, run = masking_story()
    found = certificate(telling, run=run, kept={}, recount=counted({"sparkcentral-support.complaints": (12, 1)}))
    text = Page(certificate_html(found)).text
    assert "12 rows of sparkcentral-support.complaints were anonymised." in text
    assert "The rows are still in the tables; by the policy, nothing in them says whose they were." in text
    assert "customer_ref: emptied" in text
    assert "email: replaced by chance" in text
    assert "Only rows where\nstatus = 'closed'" in text
    assert "How long back-ups of sparkcentral-support are kept is unknown" in text
    assert "Asked again, the database has 1 row of them that are not anonymised." in text
    assert "No legal hold was in force" in text
    assert "deleted" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unsettled": 1}, "1 batch of this run has no known end"),
        ({"unsettled": 2}, "2 batches of this run have no known end"),
        ({"aborted": 1}, "1 batch rolled back; nothing of them counts here."),
        ({"evidence": {"probe": 1}}, "For a part of the rows the evidence is of the weaker kind"),
        ({"evidence": {"probe": 1}}, "weaker: the source holds no table of ours"),
        ({"evidence": {"recovered": 1}}, "the process ended before it could note the result"),
        ({"gaps": (Gap("crm", 3, START, 9),)}, "3 batches of the rule that went there are known to crm and not to"),
        ({"cross_source": True}, "The decision rested on rows of another database too."),
        ({"approvals": ()}, "No approval of this plan is recorded."),
        ({"clocks": None}, "Clocks\nNot recorded."),
        ({"clocks": Clocks(START, None, None)}, "the database, a file, has no clock of its own."),
        ({"due": None}, "The dates were not recorded; none later than 22 November 2026, 02:00:03"),
        ({"recorded": False}, "These are the words of the policy file of today"),
        ({"outcome": "failed", "failed": "count-mismatch"}, "failed (count-mismatch)"),
        ({"recount": counted(None, "crm cannot be reached")}, "Not counted: crm cannot be reached."),
        ({"recount": counted({"crm.customers": (3, 2)})}, "the database has 2 rows with a key of a deleted row"),
        ({"held_back": replace(certificate(plain_story()).held_back, counted_at=None)}, "before it counted"),
    ],
)
def test_what_speaks_against_it_is_said(changes: dict[str, Any], said: str) -> None:
    assert said in text_of(**changes)


def test_once_back_ups_are_gone_the_warning_is_too() -> None:
    found = certificate(plain_story(), issued=datetime(2027, 3, 1, tzinfo=UTC))
    page = Page(certificate_html(found))
    assert page.hidden["title"] == "Certificate of deletion"
    assert [attributes for name, attributes in page.tags if attributes.get("class") == "note"] == []


def test_a_rule_of_several_terms_names_them_all() -> None:
    rule = facts("sparkcentral", "marketing")
    lines = text_of(rule=rule).splitlines()
    start = lines.index("Kept")
    assert lines[start + 1 : start + 6] == [
        "whichever comes first:",
        "18 months after last_mailed_at of the contact",
        "until unsubscribed_at of the contact",
        "until bounced_at of the contact",
        "until found_invalid_at of the contact",
    ]


def test_a_very_long_run_stays_readable_and_the_programs_part_is_whole() -> None:
    telling = plain_story()
    for number in range(200):
        telling.outcome(telling.intent(f"more-{number}", {"sparkcentral-crm.customers": 1}))
    page = Page(certificate_html(certificate(telling, run=run_record())))
    assert "… and 345 more in the part for programs." in page.text
    assert len(page.document["ledger"]["entries"]) == 405


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_no_text_of_a_policy_becomes_markup(text: str) -> None:
    rule = facts() | {"clause": text, "says": None, "title": text, "controllers": [text], "published": None}
    found = replace(certificate(plain_story()), rule=rule)
    page = Page(certificate_html(found))
    assert page.document["rule"]["clause"] == text
    assert [tag for tag, _ in page.tags].count("script") == 1
    if shown := " ".join(text.split()):
        assert page.lines[page.lines.index("Clause") + 1] == shown


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--", "]]>", "\u2028", "&lt;"])
def test_a_data_block_cannot_be_left(text: str) -> None:
    block = data_block({"text": text})
    assert not set("<>&") & set(
        block.removeprefix('<script type="application/json" id="document">')[: -len("</script>")]
    )
    assert Page(block).document == {"text": text}


def test_only_html_is_html() -> None:
    assert joined("<b>", Html("<b>")) == "&lt;b&gt;<b>"
    assert tag("p", f"{tag('b', 'x')}") == "<p>&lt;b&gt;x&lt;/b&gt;</p>", "put together as text, it is text"
    assert tag("p", "x", class_='"') == '<p class="&quot;">x</p>'
