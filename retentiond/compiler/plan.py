"""
The plan as values: everything retentiond may do to a database, before it does anything.

A `Plan` holds no point in time, so that two days' plans compare and an approval names one of them by its digest. The
cutoffs are computed where the plan is bound to an instant (`compiler.predicates`).
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from retentiond.catalog.model import Column, Dialect
from retentiond.policy.clocks import ClockType
from retentiond.policy.expression import Expression
from retentiond.policy.model import Combine, Guard, Method, Term, Verb


@dataclass(frozen=True, slots=True)
class Relation:
    """One table of one source as statements need it. `name` is schema-qualified, `short` is as people write it."""

    source: str
    dialect: Dialect
    name: str
    short: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    features: frozenset[str] = frozenset()

    def column(self, name: str) -> Column:
        """The column of that name, known to exist."""
        return next(column for column in self.columns if column.name == name)

    @property
    def label(self) -> str:
        """`source.table`, the form that reports and the ledger use."""
        return f"{self.source}.{self.short}"


@dataclass(frozen=True, slots=True)
class Hop:
    """
    One step from a table to related ones: rows of `far` where `far_column` equals the near row's `near_column`.

    More than one far relation means a relation to the union of these sources, unless `paired`: then a near row relates
    to far rows of its own source only.
    """

    near_column: str
    far_column: str
    far: tuple[Relation, ...]
    up: bool
    paired: bool = False


@dataclass(frozen=True, slots=True)
class ClockRead:
    """
    How one term's clock is read for a row: over which hops, out of which column, as what.

    `types` has one entry per relation of the last hop (or one for an own column). `nulls_never` is true where the
    record says that NULL means `never happened`. `format` is the record's, for types that need one.
    """

    term: Term
    column: str
    types: tuple[ClockType, ...]
    format: str | None
    hops: tuple[Hop, ...]
    zone: str
    plausible_from: date
    nulls_never: bool
    source: str

    @property
    def local(self) -> bool:
        """True where the clock can be asked inside the row's own source."""
        return all(len(hop.far) == 1 and hop.far[0].source == self.source for hop in self.hops)


@dataclass(frozen=True, slots=True)
class Floor:
    """An `at least` rule that bears on a table: no row goes before it ends. `columns` limits it to masks of these."""

    policy: str
    rule: str
    where: Expression | None
    clock: ClockRead
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HoldHop:
    """One step up from a row to those it belongs to: rows of `far` whose `far_columns` equal its `near_columns`."""

    near_columns: tuple[str, ...]
    far: Relation
    far_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HoldTest:
    """
    Rows that legal holds keep: their `columns`, or those of a row that the hops lead up to in the same source, hold one
    of the `keys`, which are typed as the columns are.
    """

    columns: tuple[str, ...]
    keys: tuple[tuple[object, ...], ...] = field(repr=False)
    hops: tuple[HoldHop, ...] = ()


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A table that a climb may come upon: what makes its rows held, and which ways lead on from it."""

    relation: Relation
    tests: tuple[HoldTest, ...]
    hops: tuple[HoldHop, ...]


@dataclass(frozen=True, slots=True)
class HoldClimb:
    """
    Ways up that only the engine can follow, over another source or round in a circle: the first hops from a row, and
    every table that they may lead to.
    """

    hops: tuple[HoldHop, ...]
    ancestors: tuple[Ancestor, ...]

    def ancestor(self, hop: HoldHop) -> Ancestor:
        """What is known of the table that a hop leads to."""
        return next(found for found in self.ancestors if found.relation.label == hop.far.label)


@dataclass(frozen=True, slots=True)
class HoldTests:
    """
    What legal holds say of one table's rows: `every` row is held; each that passes one of the tests; each from which a
    climb leads to a held row.
    """

    every: bool = False
    tests: tuple[HoldTest, ...] = ()
    climbs: tuple[HoldClimb, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.every or self.tests or self.climbs)

    @property
    def links(self) -> tuple[str, ...]:
        """The columns of a row that its climbs begin with, in their order."""
        return tuple(name for climb in self.climbs for hop in climb.hops for name in hop.near_columns)

    @property
    def beside(self) -> bool:
        """True where other rows of the same source are asked, which may change while a row goes."""
        return any(test.hops for test in self.tests)


@dataclass(frozen=True, slots=True)
class Keepers:
    """What may keep a row of one table back: boolean `held` columns, floors, and the legal holds that are active."""

    held: tuple[str, ...] = ()
    floors: tuple[Floor, ...] = ()
    holds: HoldTests = HoldTests()

    def __bool__(self) -> bool:
        return bool(self.held or self.floors or self.holds)


@dataclass(frozen=True, slots=True)
class Edge:
    """
    Rows of the child are taken where `child_columns` equal `parent_columns` of a taken row of `parent`.

    `enforced`: while the parent is locked, the database itself lets no new child come. `collations`, where there are
    any, say how the columns compare: SQLite's foreign keys follow the parent's.
    """

    parent: str  # label of the parent relation
    parent_columns: tuple[str, ...]
    child_columns: tuple[str, ...]
    enforced: bool = False
    collations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a row of the job's own table goes: `where`, and the terms combined. Never empty of terms."""

    where: Expression | None
    clocks: tuple[ClockRead, ...]
    combine: Combine

    def __post_init__(self) -> None:
        if not self.clocks:
            raise ValueError("an expiry without a time predicate cannot exist")

    @property
    def local(self) -> bool:
        """True where every clock lives in the row's own source."""
        return all(clock.local for clock in self.clocks)


@dataclass(frozen=True, slots=True)
class Masking:
    """The columns that change and how; `marker` is set in the same statement."""

    methods: tuple[tuple[str, Method], ...]
    marker: str | None


@dataclass(frozen=True, slots=True)
class Stir:
    """
    A trigger of a step's table that by itself changes rows of `tables`, all of them the job's: one that notes the last
    change, or counts. As it was when the job was compiled.
    """

    trigger: str
    digest: str
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """
    One table's part of a job. The job's own table has an `expiry`; a table of the cascade has `edges` to the steps
    that take its rows. A step with neither cannot be constructed.
    """

    relation: Relation
    verb: Verb
    keepers: Keepers
    expiry: Expiry | None = None
    edges: tuple[Edge, ...] = ()
    masking: Masking | None = None
    stirs: tuple[Stir, ...] = ()

    def __post_init__(self) -> None:
        if (self.expiry is None) == (not self.edges):
            raise ValueError("a step needs either a time predicate or the rows it follows")


@dataclass(frozen=True, slots=True)
class Job:
    """One rule on one source. `cascade` stands in the order of destruction: children before their parents."""

    policy: str
    rule: str
    source: str
    record: str
    step: Step
    cascade: tuple[Step, ...]
    schedule: str
    within: timedelta | None
    effective: date | None
    timezone: str
    guard: Guard
    digest: str = ""

    @property
    def name(self) -> str:
        """`policy/rule@source`, as the ledger names it."""
        return f"{self.policy}/{self.rule}@{self.source}"

    @property
    def action(self) -> Verb:
        """The rule's verb."""
        return self.step.verb

    @property
    def expiry(self) -> Expiry:
        """The expiry of the job's own table."""
        assert self.step.expiry is not None
        return self.step.expiry

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source whose rows this job may change, its own first."""
        return tuple(dict.fromkeys([self.source, *(step.relation.source for step in self.cascade)]))


@dataclass(frozen=True, slots=True)
class BlockedJob:
    """A job that cannot be planned now, because a source it rests on could not be reached; nothing of it is due."""

    policy: str
    rule: str
    source: str
    record: str
    table: str
    action: Verb
    code: str
    message: str

    @property
    def name(self) -> str:
        """`policy/rule@source`, as the ledger names it."""
        return f"{self.policy}/{self.rule}@{self.source}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs of all policies, in file order."""

    jobs: tuple[Job | BlockedJob, ...]
    digest: str

    @property
    def ready(self) -> tuple[Job, ...]:
        """The jobs that can be carried out."""
        return tuple(job for job in self.jobs if isinstance(job, Job))


Classification = Literal["suspect", "not_started", "not_yet", "held", "floored", "due"]
