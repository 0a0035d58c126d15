"""The certificate of a run as a document that a privacy officer reads, signs and files."""

import json
from collections.abc import Iterator, Sequence

from retentiond.reports import certificate_words as words
from retentiond.reports.certificate import Certificate, Entry, Signed
from retentiond.reports.html import Html, bullets, data_block, facts, grid, joined, lines, page, section, tag

_MOST_ENTRIES = 60  # in the part that is read; the part for programs holds all


def certificate_html(certificate: Certificate) -> str:
    """The document, complete in itself."""
    return page(
        certificate.title,
        _head(certificate),
        _what(certificate),
        _why(certificate),
        _stayed(certificate),
        _limits(certificate),
        _known(certificate),
        _signature(certificate),
        appendix(certificate.signed),
        data_block(certificate.as_json()),
    )


def _head(this: Certificate) -> Html:
    time = words.when(this.first_commit, this.last_commit, this.zone)
    verb = f"{'was' if this.rows == 1 else 'were'} {words.VERBS[this.action]}"
    return tag(
        "header",
        tag("p", f"{this.tool} · issued {words.instant(this.issued, this.zone)}", class_="maker"),
        tag("h1", this.title),
        tag("p", f"{time} ({this.zone.key}), {_rows(this)} {verb}.", class_="lead"),
        tag("p", words.LEFT[this.action]),
        *_warnings(this),
    )


def _rows(this: Certificate) -> str:
    """How many rows of which tables, as one reads it aloud."""
    tables = [f"{words.rows(count)} of {label}" for label, count in this.tables.items()]
    if len(tables) <= 3:
        return words.listed(tables)
    own = next(iter(this.tables.values()))
    return f"{tables[0]} and, with them, {words.rows(this.rows - own)} of {len(tables) - 1} other tables"


def _warnings(this: Certificate) -> Iterator[Html]:
    """What must not be overlooked, above everything else."""
    said = [_backup_line(backup.source, this) for backup in this.backups if not _expired(this, backup.source)]
    said += [
        f"A back-up of {one.source} came back after this run, which was found on {words.instant(one.at, this.zone)}: "
        "rows of this record may have come back with it. What destroyed them again has a record of its own."
        for one in this.restores
    ]
    said += [words.gap(one.steps, one.source, words.instant(one.at, this.zone)) for one in this.gaps]
    if this.unsettled:
        has = "has" if this.unsettled == 1 else "have"
        said.append(
            f"{words.batches(this.unsettled)} of this run {has} no known end; what was done then is not in this record."
        )
    if this.recount.there:
        said.append(_found_again(this))
    if this.evidence.get("probe"):
        said.append("For a part of the rows the evidence is of the weaker kind: see how it is known.")
    if said:
        yield tag("div", *(tag("p", text) for text in said), class_="note")


def _backup_line(source: str, this: Certificate) -> str:
    backup = next(one for one in this.backups if one.source == source)
    if backup.until is None:
        return f"How long back-ups of {source} are kept is unknown: they may hold these rows for ever."
    return f"Back-ups of {source} may hold these rows until {words.day(backup.until)}."


def _expired(this: Certificate, source: str) -> bool:
    backup = next(one for one in this.backups if one.source == source)
    return backup.until is not None and backup.until < this.issued.astimezone(this.zone).date()


def _found_again(this: Certificate) -> str:
    if this.action == "delete":
        return (
            f"Asked again, the database has {words.rows(this.recount.there)} with a key of a deleted row: new rows "
            "that were given an old key, or rows that a restored back-up brought back."
        )
    there = words.rows(this.recount.there)
    return f"Asked again, the database has {there} of them that are not {words.VERBS[this.action]}."


def _what(this: Certificate) -> Html:
    foot = ("Together", f"{this.rows:,}") if len(this.tables) > 1 else ()
    table = grid(
        ("Table", f"Rows {words.VERBS[this.action]}"),
        [(label, f"{count:,}") for label, count in this.tables.items()],
        foot,
        numbers=1,
    )
    columns = [f"{one['column']}: {one['how']}" for one in this.rule["columns"]]
    masked = [tag("h3", "What became of the columns"), bullets(columns)] if columns else []
    return section(f"What was {words.VERBS[this.action]}", table, *masked)


def _why(this: Certificate) -> Html:
    rule = this.rule
    published = f", published {words.iso_day(rule['published'])}" if rule["published"] else ""
    clause = f"{rule['clause']} – {rule['says']}" if rule["says"] else str(rule["clause"])
    first, last = this.due or (None, None)
    terms = words.period(rule)
    keep = terms[0] if len(terms) == 1 else joined(tag("p", f"{rule['combine']}:"), bullets(terms))
    known = (
        "These words stand in the ledger, as they were when the run began."
        if this.recorded
        else "These are the words of the policy file of today; the ledger did not record those of then."
    )
    return section(
        "On whose promise",
        facts(
            [
                ("Controller" if len(rule["controllers"]) == 1 else "Controllers", words.listed(rule["controllers"])),
                ("Role of the operator", str(rule["role"])),
                ("Policy", f"{rule['title']}{published}"),
                ("Policy file", joined("SHA-256 ", tag("code", rule["sha256"]))),
                ("Clause", clause),
                ("Rule", f"{rule['policy']}/{rule['rule']}"),
                ("Purpose of the data", rule["purpose"] or ""),
                ("Legal basis", rule["basis"] or ""),
                ("Law", rule["statute"] or ""),
                ("Kept", keep),
                ("Only rows where", tag("code", rule["where"]) if rule["where"] else ""),
                ("Time zone", str(rule["timezone"])),
                ("Fell due", words.span(first, last) if first and last else words.due_unknown(this.as_of, this.zone)),
            ]
        ),
        tag("p", known, class_="soft"),
    )


def _stayed(this: Certificate) -> Html:
    held = this.held_back
    reasons = [
        (held.held, "their time is over, but a legal hold or a column of their own says hands off"),
        (held.floored, "their time is over, but a law demands that they be kept longer"),
        (held.suspect, "a date in them cannot be true; somebody has to correct it first"),
        (held.not_started, "what starts their period has not happened"),
    ]
    if held.counted_at is None:
        body = tag("p", "The run ended before it counted what it left behind.")
    else:
        rows = [(why, f"{count:,}" if count is not None else "not counted") for count, why in reasons]
        body = grid((f"Rows of {this.job.rpartition('@')[0]} that stayed, and why", "Rows"), rows, numbers=1)
    holds = [f"{words.HOLD_KINDS.get(kind, kind)}: {count}" for kind, count in held.holds.items()]
    if holds:
        in_force = tag("p", f"Legal holds in force for this policy when the run ended – {'; '.join(holds)}.")
    else:
        in_force = tag("p", "No legal hold was in force for this policy when the run ended.")
    counted = f"Counted on {words.instant(held.counted_at, this.zone)}; " if held.counted_at else ""
    source = f"{counted}these counts are the program's own and not part of the signed ledger."
    return section("What stayed, and why", body, in_force, tag("p", source, class_="soft"))


def _limits(this: Certificate) -> Html:
    backups = [f"{_backup_line(one.source, this)} {words.kept(one.kept)}" for one in this.backups]
    outside = [f"{one['what']} ({one['owner']})" for one in this.rule["outside"]]
    parts = [
        tag("h3", "What “gone” means"),
        tag("p", words.claim(this.action)),
        tag("h3", "Back-ups"),
        bullets(backups),
    ]
    if outside:
        parts += [
            tag("h3", "Systems out of reach"),
            tag("p", "The policy names these as not covered:"),
            bullets(outside),
        ]
    parts += [
        tag("h3", "What else is not covered"),
        bullets(
            [
                "Copies that nobody told us of: exports, mails, print-outs, caches, databases that no policy names.",
                *([words.CROSS_SOURCE] if this.cross_source else []),
            ]
        ),
    ]
    return section("What this record does not say", *parts)


def _known(this: Certificate) -> Html:
    approvals = [
        f"{words.EVENTS[one.event]} by {one.by} on {words.instant(one.at, this.zone)} (entry {one.seq})"
        for one in this.approvals
    ]
    evidence = [f"{words.batches(count)}: {words.EVIDENCE.get(mode, mode)}." for mode, count in this.evidence.items()]
    return section(
        "How it is known",
        facts(
            [
                ("Run", tag("code", this.run)),
                ("Asked for by", this.requested_by),
                ("Approved", lines(approvals) if approvals else "No approval of this plan is recorded."),
                ("Plan", joined("SHA-256 ", tag("code", this.plan))),
                ("Evidence", lines(evidence)),
                (
                    "Failed attempts",
                    f"{words.batches(this.aborted)} rolled back; nothing of them counts here." if this.aborted else "",
                ),
                ("How the run ended", f"{this.outcome}{f' ({this.failed})' if this.failed else ''}"),
                (
                    "Clocks",
                    words.clocks(this.clocks.host, this.clocks.database, this.clocks.apart)
                    if this.clocks
                    else "Not recorded.",
                ),
                ("Counted again", _recount(this)),
                ("Made with", words.listed(this.tools) or "Not recorded."),
            ]
        ),
    )


def _recount(this: Certificate) -> Html:
    again = this.recount
    said = []
    if again.at is not None:
        word = "in the tables" if this.action == "delete" else f"not {words.VERBS[this.action]}"
        asked = sum(one for one, _ in again.tables.values())
        said.append(
            f"On {words.instant(again.at, this.zone)}, by a query of its own: {words.rows(again.there)} {word}, of "
            f"{asked:,} whose keys the ledger’s tokens stand for."
        )
    said += [f"Not counted: {why}." for why in again.why_not]
    return lines(said)


def _signature(this: Certificate) -> Html:
    keys = [key.partition("+")[0] for key in this.signed.keys]
    return section(
        "Signature",
        tag(
            "p",
            f"The {len(this.signed.entries)} entries of the ledger that this record rests on are part of a tree of "
            f"{this.signed.size:,} entries, whose root was signed with Ed25519 by {words.listed(keys)}. Whoever has "
            "the public key can check each of them without asking us, and without seeing anything of anybody.",
        ),
        tag(
            "p",
            "The words of the policy file, the counts of what stayed, the period of back-ups and the count made again "
            "are not covered by the signature, unless the text says that the ledger recorded them.",
            class_="soft",
        ),
    )


def appendix(signed: Signed) -> Html:
    """The part for machines, as far as paper can carry it."""
    shown = signed.entries[:_MOST_ENTRIES]
    more = len(signed.entries) - len(shown)
    rest = [tag("p", f"… and {more:,} more in the part for programs.", class_="soft")] if more else []
    return section(
        "Appendix: the entries and the signed checkpoint",
        grid(("Entry", "Time", "Kind", "What it says"), [_line(entry) for entry in shown], short=3),
        *rest,
        tag("h3", "Checkpoint"),
        tag("pre", signed.note),
        tag("h3", "Public keys"),
        tag("pre", "\n".join(signed.keys)),
        tag(
            "p",
            "This file also holds, in its element with the id “document”, the entries byte for byte, the path of "
            "hashes from each to the root, and all of the above as JSON; with --format json it is printed alone. Trees "
            "and proofs follow RFC 6962, the checkpoint C2SP’s signed notes. Compare the public key with the one that "
            "you were given at another time, by another way: a key out of the same file proves nothing.",
            class_="soft",
        ),
        class_="appendix",
    )


def _line(entry: Entry) -> Sequence[str]:
    leaf = json.loads(entry.leaf)
    tables = ", ".join(f"{label} {count:,}" for label, count in leaf.get("tables", {}).items())
    said = [leaf.get("status") or leaf.get("event") or leaf.get("action") or "", tables]
    if "evidence" in leaf:
        said.append(f"by {leaf['evidence']}")
    return str(entry.seq), leaf["time"], leaf["kind"], "; ".join(word for word in said if word)
