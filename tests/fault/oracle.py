"""
What must be true after every fault, found out without retentiond's code: the rows that are there against the journal of
the company, and against what the ledger says went.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.fault.arena import MASKED, TABLES, Arena
from tests.fault.evidence import Evidence, read_export
from tests.fault.tokens import Reader
from tests.fault.victims import Nursery

DELETED = ("customers", "contracts", "documents", "visits")
CHANGED = "letters"


@dataclass(frozen=True)
class Rows:
    """What became of the rows: `gone` by table, and the letters that were `masked`."""

    gone: dict[str, set[int]]
    masked: set[int]


def audit(arena: Arena, nursery: Nursery, *, finished: bool = True) -> list[str]:
    """
    Every promise that does not hold, in words; empty where all do. Nobody writes meanwhile.

    `finished`: the last run came to its end, so that nothing that was due is left and nothing is open.
    """
    rows = _rows(arena)
    findings = _of_rows(arena, rows)
    evidence = export(arena, nursery)
    findings += evidence.findings if finished else [one for one in evidence.findings if "no outcome" not in one]
    findings += _recorded(arena, rows, evidence)
    if finished:
        findings += _left(arena, rows)
        still_open = arena.state_rows("SELECT batch, job FROM intents WHERE outcome IS NULL")
        findings += [f"open intent: {one}" for one in still_open]
    return findings


def export(arena: Arena, nursery: Nursery) -> Evidence:
    """The ledger as anybody gets it, checked by retentiond with the public key alone and then by us."""
    printed = arena.do(nursery, "ledger", "export")
    file = arena.folder / "export.jsonl"
    file.write_bytes(printed.order.out.read_bytes())
    public = arena.keys / "ledger.pub"
    arena.do(nursery, "ledger", "verify", str(file), "--public-key", str(public))
    return read_export(file.read_bytes(), public.read_text(encoding="utf-8"))


def _rows(arena: Arena) -> Rows:
    journal = arena.journal
    gone = {table: journal.known[table] - arena.ids(table) - journal.removed[table] for table in TABLES}
    return Rows(gone, arena.ids(CHANGED, f"name = '{MASKED}'"))


def _of_rows(arena: Arena, rows: Rows) -> list[str]:
    """Rows that went and should have stayed, or that nobody made."""
    journal, findings = arena.journal, []
    for table in TABLES:
        sure = rows.gone[table] - journal.doubtful[table]
        findings += _some(f"live {table} are gone", sure & journal.live[table])
        findings += _some(f"held {table} are gone", rows.gone[table] & journal.held[table])
        findings += _some(f"{table} that nobody made", arena.ids(table) - journal.known[table])
        findings += _some(f"{table} that were deleted are back", arena.ids(table) & journal.removed[table])
    findings += _some(f"{CHANGED} are gone, which no rule deletes", rows.gone[CHANGED])
    findings += _some(f"live {CHANGED} are masked", rows.masked & journal.live[CHANGED])
    findings += _some(f"held {CHANGED} are masked", rows.masked & journal.held[CHANGED])
    return findings


def _recorded(arena: Arena, rows: Rows, evidence: Evidence) -> list[str]:
    """Rows that went without a record, and records of rows that did not go or went more often than once."""
    reader = Reader(arena, evidence)
    outcomes = evidence.of_kind("outcome")
    destroyed = reader.rows(one for one in outcomes if one["status"] == "destroyed")
    restored = reader.rows(one for one in outcomes if one["status"] == "restored")
    changed = reader.rows(one for one in outcomes if one["status"] == "changed")
    findings = []
    for table in {*DELETED, *destroyed}:
        told = destroyed.get(table, Counter())
        told.subtract(restored.get(table, Counter()))
        findings += _compared(table, told, rows.gone.get(table, set()), arena.journal.doubtful[table])
    for table in {CHANGED, *changed}:
        went = rows.masked if table == CHANGED else set()
        findings += _compared(table, changed.get(table, Counter()), went, set())
    return findings + reader.findings


def _compared(table: str, told: Counter[int], went: set[int], doubtful: set[int]) -> list[str]:
    claimed = {number for number, times in told.items() if times > 0}
    twice = {number for number, times in told.items() if times > 1}
    return [
        *_some(f"{table} are gone and not recorded", went - claimed - doubtful),
        *_some(f"{table} are recorded and not gone", claimed - went),
        *_some(f"{table} are recorded more than once", twice),
    ]


def _left(arena: Arena, rows: Rows) -> list[str]:
    """Rows that are due, that nothing keeps, and that are still there after a run."""
    journal, findings = arena.journal, []
    for table in DELETED:
        kept = journal.live[table] | journal.removed[table] | journal.held[table] | journal.doubtful[table]
        findings += _some(f"{table} that are due are still there", journal.known[table] - kept - rows.gone[table])
    kept = journal.live[CHANGED] | journal.held[CHANGED] | journal.doubtful[CHANGED]
    findings += _some(f"{CHANGED} that are due are not masked", journal.known[CHANGED] - kept - rows.masked)
    return findings


def _some(what: str, ids: Iterable[int]) -> list[str]:
    found = sorted(ids)
    return [f"{what}: {len(found)}, such as {found[:5]}"] if found else []
