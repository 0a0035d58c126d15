"""
What the ledger records of data subjects, as a value: which batches took a row of theirs, when, by which rule.

Their ids appear nowhere: a subject is the number of the line that named it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from retentiond.engine.report import instant_text
from retentiond.reports import certificate_words as words
from retentiond.reports.certificate import Restore, Signed, signed_as_json


@dataclass(frozen=True, slots=True)
class Match:
    """A batch that took or masked a subject's row. `rule` are the facts of its rule, None where nobody knows them."""

    line: int
    table: str
    job: str
    run: str
    batch: str
    action: str
    at: datetime
    evidence: str
    seq: int
    rule: Mapping[str, Any] | None
    backups_until: date | None
    restores: tuple[Restore, ...]

    @property
    def verb(self) -> str:
        """What became of the row."""
        return words.VERBS[self.action]

    def as_json(self) -> dict[str, object]:
        """The match in the document."""
        return {
            "line": self.line,
            "table": self.table,
            "job": self.job,
            "run": self.run,
            "batch": self.batch,
            "verb": self.verb,
            "at": instant_text(self.at),
            "evidence": self.evidence,
            "seq": self.seq,
            "rule": dict(self.rule) if self.rule is not None else None,
            "backups_until": self.backups_until.isoformat() if self.backups_until else "unknown",
            "restores": [{"source": one.source, "at": instant_text(one.at), "seq": one.seq} for one in self.restores],
        }


@dataclass(frozen=True, slots=True)
class Searched:
    """A table whose rows are the subjects; `rows` tokens of `batches` batches were compared, `lost` could not be."""

    record: str
    table: str
    batches: int
    rows: int
    lost: int
    exact: bool


@dataclass(frozen=True, slots=True)
class SubjectCertificate:
    """What is recorded of `subjects` subjects of one type; `not_searched` says of what nothing can be told, and why."""

    issued: datetime
    tool: str
    policy: str
    subject_type: str
    timezone: str
    subjects: int
    searched: tuple[Searched, ...]
    not_searched: tuple[tuple[str, str], ...]
    matches: tuple[Match, ...]
    signed: Signed

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the policy."""
        return ZoneInfo(self.timezone)

    @property
    def title(self) -> str:
        """What the document is called."""
        who = "one data subject" if self.subjects == 1 else f"{self.subjects} data subjects"
        return f"What the ledger records of {who}"

    def as_json(self) -> dict[str, object]:
        """The document for programs."""
        return {
            "document": "subject-certificate",
            "version": 1,
            "title": self.title,
            "issued": instant_text(self.issued),
            "tool": self.tool,
            "policy": self.policy,
            "subject": self.subject_type,
            "subjects": self.subjects,
            "matches": len(self.matches),
            "found": [match.as_json() for match in self.matches],
            "searched": [
                {
                    "record": one.record,
                    "table": one.table,
                    "batches": one.batches,
                    "rows": one.rows,
                    "lost": one.lost,
                    "exact": one.exact,
                }
                for one in self.searched
            ],
            "not_searched": [{"what": what, "why": why} for what, why in self.not_searched],
            "ledger": signed_as_json(self.signed),
        }
