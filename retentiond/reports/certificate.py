"""
The certificate of one run as a value: what went, by whose promise, how it is known, and what it does not say.

Everything stands in it that the two forms – a document for people, JSON for programs – show; neither adds a fact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from retentiond.engine.report import instant_text
from retentiond.reports import certificate_words as words


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf of the ledger with the hashes that lead from it to the root of the signed checkpoint."""

    seq: int
    leaf: str
    hash: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signed:
    """The checkpoint that covers every entry: the signed note, byte for byte, and the public keys that verify it."""

    note: str
    size: int
    root: str
    keys: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Backup:
    """How long a source's back-ups are kept, as declared; `kept` None: nobody declared it."""

    source: str
    last_change: datetime
    kept: timedelta | None
    zone: ZoneInfo = field(repr=False)

    @property
    def until(self) -> date | None:
        """The last day on which a back-up may hold the rows; None where that is unknown."""
        if self.kept is None:
            return None
        return (self.last_change + self.kept).astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Rows that the run left, by class; None where it did not count them. `holds` counts legal holds by kind."""

    held: int | None
    floored: int | None
    suspect: int | None
    not_started: int | None
    counted_at: datetime | None
    holds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Approval:
    """One word of a person about exactly this plan."""

    event: str
    by: str
    at: datetime
    seq: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the clocks of host and database said when the run began; a SQLite file has none. `apart` is in seconds."""

    host: datetime
    database: datetime | None
    apart: float | None


@dataclass(frozen=True, slots=True)
class Recount:
    """
    A count by a query of its own, made when the certificate was: of the keys that the ledger says went (`asked`), how
    many are in the table, for a mask unmasked (`there`). `why_not` says why a table, or anything, was not counted.
    """

    at: datetime | None
    tables: Mapping[str, tuple[int, int]]
    why_not: tuple[str, ...] = ()

    @property
    def there(self) -> int:
        """All that was found again."""
        return sum(there for _, there in self.tables.values())


@dataclass(frozen=True, slots=True)
class Restore:
    """A back-up of a source that was found to have come back after the run; its rows may have come back with it."""

    source: str
    at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Steps of the rule in a source that the ledger lost with its state store, after the run or in the middle of it."""

    source: str
    steps: int
    at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    One run of one rule on one source that destroyed something.

    `rule` are the facts of `policy.facts.rule_facts`; `recorded` tells whether the run's first intent holds them or the
    policy file of today was asked. `evidence` counts committed batches by how their commit is known.
    """

    issued: datetime
    tool: str
    tools: tuple[str, ...]
    run: str
    job: str
    source: str
    action: str
    requested_by: str
    started: datetime
    finished: datetime | None
    outcome: str
    failed: str | None
    as_of: datetime
    plan: str
    rule: Mapping[str, Any]
    recorded: bool
    due: tuple[date, date] | None
    cutoffs: tuple[tuple[str, str], ...]
    tables: Mapping[str, int]
    first_commit: datetime
    last_commit: datetime
    batches: int
    aborted: int
    unsettled: int
    evidence: Mapping[str, int]
    cross_source: bool
    held_back: HeldBack
    approvals: tuple[Approval, ...]
    clocks: Clocks | None
    backups: tuple[Backup, ...]
    restores: tuple[Restore, ...]
    gaps: tuple[Gap, ...]
    recount: Recount
    signed: Signed

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the rule."""
        return ZoneInfo(str(self.rule["timezone"]))

    @property
    def rows(self) -> int:
        """All rows, of every table."""
        return sum(self.tables.values())

    @property
    def final(self) -> bool:
        """True where back-ups have expired as well, and nothing speaks against it."""
        today = self.issued.astimezone(self.zone).date()
        gone = all(backup.until is not None and backup.until < today for backup in self.backups)
        return gone and not (self.restores or self.gaps or self.unsettled or self.recount.there)

    @property
    def title(self) -> str:
        """What the document may call itself today."""
        return words.title(self.action, final=self.final)

    def as_json(self) -> dict[str, object]:
        """The document for programs; `ledger` holds all that its proofs need."""
        return {
            "document": "certificate",
            "version": 1,
            "title": self.title,
            "final": self.final,
            "issued": instant_text(self.issued),
            "tool": self.tool,
            "run": self._run(),
            "verb": words.VERBS[self.action],
            "personal_data_left": words.LEFT[self.action],
            "tables": dict(self.tables),
            "rows": self.rows,
            "rule": dict(self.rule) | {"recorded": self.recorded},
            "due": {"first": self.due[0].isoformat(), "last": self.due[1].isoformat()} if self.due else None,
            "cutoffs": [{"clock": clock, "cutoff": cutoff} for clock, cutoff in self.cutoffs],
            "claim": {"level": "logical", "words": words.claim(self.action)},
            "held_back": self._held_back(),
            "recount": self._recount(),
            "approvals": [
                {"event": one.event, "by": one.by, "at": instant_text(one.at), "rows": one.rows, "seq": one.seq}
                for one in self.approvals
            ],
            "evidence": {"modes": dict(self.evidence), "cross_source": self.cross_source},
            "clocks": self._clocks(),
            "backups": [
                {
                    "source": backup.source,
                    "last_change": instant_text(backup.last_change),
                    "kept_days": backup.kept.days if backup.kept is not None else None,
                    "until": backup.until.isoformat() if backup.until else "unknown",
                }
                for backup in self.backups
            ],
            "restores": [{"source": one.source, "at": instant_text(one.at), "seq": one.seq} for one in self.restores],
            "gaps": [
                {"source": one.source, "steps": one.steps, "at": instant_text(one.at), "seq": one.seq}
                for one in self.gaps
            ],
            "ledger": signed_as_json(self.signed),
        }

    def _run(self) -> dict[str, object]:
        return {
            "id": self.run,
            "job": self.job,
            "source": self.source,
            "action": self.action,
            "at": instant_text(self.as_of),
            "plan": self.plan,
            "started": instant_text(self.started),
            "finished": instant_text(self.finished),
            "outcome": self.outcome,
            "failed": self.failed,
            "requested_by": self.requested_by,
            "first_commit": instant_text(self.first_commit),
            "last_commit": instant_text(self.last_commit),
            "batches": self.batches,
            "aborted": self.aborted,
            "unsettled": self.unsettled,
            "tools": list(self.tools),
        }

    def _held_back(self) -> dict[str, object]:
        held = self.held_back
        return {
            "held": held.held,
            "floored": held.floored,
            "suspect": held.suspect,
            "not_started": held.not_started,
            "counted_at": instant_text(held.counted_at),
            "holds": dict(held.holds),
        }

    def _recount(self) -> dict[str, object]:
        return {
            "at": instant_text(self.recount.at),
            "tables": {
                label: {"asked": asked, "there": there} for label, (asked, there) in self.recount.tables.items()
            },
            "not_counted": list(self.recount.why_not),
        }

    def _clocks(self) -> dict[str, object] | None:
        if self.clocks is None:
            return None
        return {
            "host": instant_text(self.clocks.host),
            "database": instant_text(self.clocks.database),
            "apart_seconds": None if self.clocks.apart is None else round(self.clocks.apart, 6),
        }


def signed_as_json(signed: Signed) -> dict[str, object]:
    """The part of a document that is enough to check it: leaves, paths, checkpoint, public keys."""
    return {
        "hash": "RFC 6962, SHA-256",
        "size": signed.size,
        "root": signed.root,
        "checkpoint": signed.note,
        "public_keys": list(signed.keys),
        "entries": [
            {"seq": entry.seq, "leaf": entry.leaf, "hash": entry.hash, "path": list(entry.path)}
            for entry in signed.entries
        ],
    }
