"""Holds that race with runs: placed one after another while rows go, and judged by the ledger's times."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from tests.fault.arena import Arena
from tests.fault.oracle import DELETED, export
from tests.fault.tokens import Reader
from tests.fault.victims import Nursery, Victim

SUBJECTS = {"customer": "customers", "visit": "visits"}
FINE, NOT_IN_FORCE = 0, 1

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Placed:
    """A hold that was said to be in force at a time; the rows under it by table."""

    when: datetime
    rows: dict[str, set[int]]


@dataclass
class Race:
    """The holds of one arena. `tally` counts what became of them."""

    arena: Arena
    nursery: Nursery
    chance: Random
    placed: list[Placed] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)

    def add(self, subject: str, ids: Sequence[int]) -> list[str]:
        """The command that holds these subjects."""
        file = self.arena.folder / f"ids-{next(_numbers)}"
        file.write_text("".join(f"{number}\n" for number in ids), encoding="utf-8")
        file.chmod(0o600)
        names = ["--policy", "shop", "--subject", subject, "--id-file", str(file)]
        why = ["--kind", "proceedings", "--matter", f"M-{file.name}", "--review", "2099-06-30"]
        return self.arena.command("hold", "add", *names, *why)

    def hold_some(self, count: int, among: int = 30) -> Holder:
        """A process that places holds one after another, each on one of the rows whose turn comes soon."""
        chosen = []
        soon = {subject: sorted(self.arena.ids(table)) for subject, table in SUBJECTS.items()}
        for _ in range(count):
            subject = self.chance.choice([name for name, ids in soon.items() if ids])
            due = [one for one in soon[subject] if one not in self.arena.journal.live[SUBJECTS[subject]]]
            chosen.append((subject, self.chance.choice(due[:among] or soon[subject])))
        commands = [self.add(subject, [number]) for subject, number in chosen]
        return Holder(self, chosen, self.nursery.start(self.arena.folder, *commands))

    def under(self, subject: str, number: int) -> dict[str, set[int]]:
        """All rows that such a hold is on, whether they are there still or not."""
        if subject == "visit":
            return {"visits": {number}}
        contracts = {one for one, parent in self.arena.contracts.items() if parent == number}
        documents = {one for one, parent in self.arena.documents.items() if parent in contracts}
        return {"customers": {number}, "contracts": contracts, "documents": documents}

    def in_force(self, subject: str, number: int, when: float) -> None:
        """A hold was in force by that time."""
        self.placed.append(Placed(datetime.fromtimestamp(when, UTC), self.under(subject, number)))

    def judge(self) -> list[str]:
        """
        Rows that went after a hold on them was in force; what had gone before is no matter of the hold. What had not is
        held from now on for the oracle, too.
        """
        evidence = export(self.arena, self.nursery)
        reader = Reader(self.arena, evidence)
        went: dict[tuple[str, int], datetime] = {}
        for entry in evidence.of_kind("outcome"):
            if entry["status"] in ("destroyed", "changed"):
                for table, numbers in reader.rows([entry]).items():
                    went |= {(table, number): datetime.fromisoformat(entry["time"]) for number in numbers}
        findings = reader.findings
        for hold in self.placed:
            for table, ids in hold.rows.items():
                late = {one for one in ids if (table, one) in went and went[table, one] > hold.when}
                findings += [f"{table} {sorted(late)} went after a hold on them was in force"] if late else []
                before = {one for one in ids if (table, one) in went} - late
                self.tally["gone before" if before else "kept"] += table in ("customers", "visits")
                if table in DELETED:
                    self.arena.journal.hold(table, ids - before)
        return findings


@dataclass
class Holder:
    """A process at work on holds, each on one row."""

    race: Race
    chosen: Sequence[tuple[str, int]]
    victim: Victim

    def end(self) -> None:
        """It has placed them all; what it said is noted."""
        self.victim.wait()
        codes = self.victim.codes()
        assert len(codes) == len(self.chosen), self.victim.story()
        for (subject, number), (_, code, when) in zip(self.chosen, codes, strict=True):
            assert code in (FINE, NOT_IN_FORCE), self.victim.story()
            self.race.tally["in force" if code == FINE else "not in force"] += 1
            if code == FINE:
                self.race.in_force(subject, number, when)
