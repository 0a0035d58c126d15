"""What the ledger records of data subjects, as a document."""

from collections.abc import Mapping
from typing import Any

from retentiond.reports import certificate_words as words
from retentiond.reports.certificate_html import appendix
from retentiond.reports.html import Html, bullets, data_block, facts, lines, page, section, tag
from retentiond.reports.subject import Match, Searched, SubjectCertificate


def subject_html(this: SubjectCertificate) -> str:
    """The document, complete in itself."""
    return page(
        this.title,
        _head(this),
        *([_found(this)] if this.matches else []),
        _searched(this),
        _limits(this),
        appendix(this.signed) if this.signed.entries else Html(""),
        data_block(this.as_json()),
    )


def _head(this: SubjectCertificate) -> Html:
    whose = "this data subject" if this.subjects == 1 else f"these {this.subjects} data subjects"
    who = f"{whose} ({this.subject_type}, of the policy {this.policy})"
    if this.matches:
        found = "One entry tells" if len(this.matches) == 1 else f"{len(this.matches)} entries tell"
        said = f"{found} of a row of {who} that was deleted or changed."
    else:
        said = (
            f"Nothing is recorded of {who}: in the tables that could be searched, no row of theirs was deleted or "
            "changed by retentiond."
        )
    return tag(
        "header",
        tag("p", f"{this.tool} · issued {words.instant(this.issued, this.zone)}", class_="maker"),
        tag("h1", this.title),
        tag("p", said, class_="lead"),
        tag("p", "This document does not say who they are: a subject is the number of the line that named it."),
    )


def _found(this: SubjectCertificate) -> Html:
    return section("What was found", *(_match(match, this) for match in this.matches))


def _match(match: Match, this: SubjectCertificate) -> Html:
    rule = match.rule
    backups = words.day(match.backups_until) if match.backups_until else "unknown"
    clause = f"{rule['clause']} – {rule['says']}" if rule and rule["says"] else str(rule["clause"]) if rule else ""
    restores = [
        f"A back-up of {one.source} that held this row came back, which was found on "
        f"{words.instant(one.at, this.zone)} (entry {one.seq})."
        for one in match.restores
    ]
    return tag(
        "div",
        tag("h3", f"Line {match.line}: {match.verb} on {words.instant(match.at, this.zone)}"),
        facts(
            [
                ("Table", match.table),
                ("Policy", str(rule["title"]) if rule else ""),
                ("Clause", clause),
                ("Rule", match.job),
                ("Kept", _kept(rule) if rule else ""),
                ("What is left", words.LEFT_OF_ONE[match.action]),
                ("In back-ups until", backups),
                ("Restored", lines(restores) if restores else ""),
                ("Evidence", f"{words.EVIDENCE.get(match.evidence, match.evidence)} (entry {match.seq})"),
                ("Run", tag("code", match.run)),
            ]
        ),
        class_="whole",
    )


def _kept(rule: Mapping[str, Any]) -> Html:
    terms = words.period(rule)
    return lines(terms if len(terms) == 1 else [f"{rule['combine']}:", *terms])


def _searched(this: SubjectCertificate) -> Html:
    said = [_line(one) for one in this.searched]
    missing = [f"{what}: {why}." for what, why in this.not_searched]
    return section(
        "What was searched, and what was not",
        bullets(said) if said else tag("p", "No table could be searched."),
        tag("h3", "Not searched"),
        bullets(missing),
    )


def _line(one: Searched) -> str:
    text = f"{one.record} ({one.table}): the tokens of {words.rows(one.rows)} in {words.batches(one.batches)}"
    if one.lost:
        text += f"; those of {words.rows(one.lost)} more, or the key that they were made with, are gone"
    return f"{text}." if one.exact else f"{text}. Ids were compared letter by letter, capitals and blanks included."


def _limits(this: SubjectCertificate) -> Html:
    return section(
        "What this record does not say",
        bullets(
            [
                "Whose the id was at another time: a database may give the key of a deleted row to a new one.",
                "What is in the tables today: this is about what went, not about what is there.",
                "What others deleted: only what retentiond did is in its ledger.",
            ]
        ),
        tag(
            "p",
            "That the row was in the batch is known from its token, which only the holder of the key can make; an "
            "auditor without the key can check that the batch is in the signed ledger, and what it says."
            if this.matches
            else "The ledger was verified as a whole before this was written.",
            class_="soft",
        ),
    )
