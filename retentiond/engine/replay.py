"""
What a restored back-up brought back: rows that the ledger says went, and that are in their tables again.

This looks and destroys nothing. What is found goes by an ordinary run of the job over these keys alone, which asks of
each row again whether it is due, held or floored: a key may have been given to a new row since.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Job
from retentiond.engine.custody import ledger_label
from retentiond.engine.recognition import Recognised, committed, recognise, token_lists
from retentiond.engine.session import Session
from retentiond.state.keys import KeyRing
from retentiond.state.store import Store


@dataclass(frozen=True, slots=True)
class CameBack:
    """
    What came back of one job in one source, by the label of the table (`Relation.label`).

    `batches` of the job lie above the fence; of `dropped` of them the tokens are gone, and `gone_tables` are tables
    that the job no longer reaches: of these nobody can tell any more what came back.
    """

    job: Job
    source: str
    fence: int  # where the source's fence stands
    tables: Mapping[str, Recognised]
    batches: int
    dropped: int
    gone_tables: tuple[str, ...]

    @property
    def keys(self) -> dict[str, tuple[Key, ...]]:
        """The keys by table, those of tables where something came back."""
        return {label: tuple(found.keys) for label, found in self.tables.items() if found.keys}

    @property
    def counts(self) -> dict[str, int]:
        """How many rows came back, by table."""
        return {label: len(keys) for label, keys in self.keys.items()}

    @property
    def whole(self) -> bool:
        """True where everything that could have come back was looked for."""
        return not (self.dropped or self.gone_tables or any(found.lost for found in self.tables.values()))

    def pages(self, size: int) -> Iterator[list[Key]]:
        """The keys of the job's own table, as a run over these alone walks them."""
        own = self.keys.get(self.job.step.relation.label, ())
        yield from (list(own[start : start + size]) for start in range(0, len(own), size))


def what_came_back(job: Job, source: str, store: Store, keys: KeyRing, session: Session, above_seq: int) -> CameBack:
    """
    The rows of the job's tables in that source which went in batches whose fence lies above `above_seq`.

    Raises:
        RefusedError: where a key that made the tokens is missing, damaged or another.
        EvidenceError: where the ledger's tokens are not those that its leaves name.
    """

    def wanted(outcome: Mapping[str, Any]) -> bool:
        return outcome["job"] == job.name and any(
            fence["source"] == source and fence["seq"] > above_seq for fence in outcome["fences"]
        )

    batches = list(committed(store.ledger.entries(), wanted))
    by_label, dropped = token_lists(batches, store.ledger)
    steps = {ledger_label(step.relation): step for step in (*job.cascade, job.step)}
    here = {label: lists for label, lists in by_label.items() if label.startswith(f"{source}.")}
    return CameBack(
        job=job,
        source=source,
        fence=above_seq,
        tables={
            steps[label].relation.label: recognise(steps[label], lists, keys, session)
            for label, lists in sorted(here.items())
            if label in steps
        },
        batches=len(batches),
        dropped=dropped,
        gone_tables=tuple(sorted(label for label in here if label not in steps)),
    )
