"""The values of the effect check: what was reported, what the counters said before, and what was changed beyond."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from retentiond.compiler.plan import Job, Step

What = Literal["inserted", "updated", "deleted", "changed"]


@dataclass(frozen=True, slots=True)
class Expected:
    """
    What our own statements reported, by table label: rows that were deleted, and rows that were updated – masked, or
    unlinked before they went. A row that was unlinked and then deleted counts in both.
    """

    deleted: Mapping[str, int] = field(default_factory=dict)
    updated: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a session's counters said before the first change; by table, or under one name for all."""

    source: str
    counters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Widening:
    """
    Rows that were changed and not meant, or (`rows` below 0) meant and not changed. `table` is None where the engine
    tells a sum only, `rows` None where it tells no number, `by` what did it, where that is known already.
    """

    table: str | None
    what: What
    rows: int | None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """One source's share of a job and of what was reported, by the names that its catalogue uses."""

    source: str
    steps: tuple[Step, ...]
    deleted: Mapping[str, int]
    updated: Mapping[str, int]

    @classmethod
    def of(cls, job: Job, source: str, expected: Expected) -> "Share":
        """The source's share; what nothing was reported of stands as 0."""
        steps = tuple(step for step in (*job.cascade, job.step) if step.relation.source == source)
        relations = {step.relation.label: step.relation for step in steps}
        return cls(
            source,
            steps,
            {relation.name: expected.deleted.get(label, 0) for label, relation in relations.items()},
            {relation.name: expected.updated.get(label, 0) for label, relation in relations.items()},
        )

    @property
    def labels(self) -> dict[str, str]:
        """`source.table` as people write it, by the catalogue's name."""
        return {step.relation.name: step.relation.label for step in self.steps}

    @property
    def stirred(self) -> frozenset[str]:
        """The tables in which triggers update rows by themselves, as the plan knows."""
        return frozenset(table for step in self.steps for stir in step.stirs for table in stir.tables)

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a table that our statements set."""
        names: dict[str, None] = {}
        for step in self.steps:
            if step.relation.name == table:
                if step.masking:
                    names |= dict.fromkeys(name for name, _ in step.masking.methods)
                    names |= dict.fromkeys([step.masking.marker] if step.masking.marker else ())
                for edge in step.edges:
                    names |= dict.fromkeys(edge.child_columns)
        return tuple(names)

    def declares(self, parent: str, child: str, pairs: Collection[tuple[str, str]]) -> bool:
        """
        True where the job collects by these pairs of columns – the child's, the parent's – what goes with the parent's
        rows. Case does not count: InnoDB folds it.
        """
        wanted = {(own.lower(), far.lower()) for own, far in pairs}
        return any(
            step.relation.name == child
            and edge.parent == self.labels[parent]
            and wanted == {(c.lower(), p.lower()) for c, p in zip(edge.child_columns, edge.parent_columns, strict=True)}
            for step in self.steps
            for edge in step.edges
        )
