"""
The values a policy file becomes: frozen, resolved, free of YAML.

Names are resolved when a `Policy` exists: every record that a rule, a link or a clock names is there, time zones and
`plausible_from` are filled in from the file or the defaults. What needs a live schema (columns, types, keys) is the
compiler's to check.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from retentiond.errors import Position
from retentiond.policy.expression import Expression

Verb = Literal["delete", "anonymise", "pseudonymise", "clear", "nothing"]
EndOf = Literal["month", "quarter", "year"]
Which = Literal["last", "first"]
Combine = Literal["only", "first", "last"]
Basis = Literal[
    "consent",
    "contract",
    "legal obligation",
    "vital interests",
    "public task",
    "legitimate interest",
    "legal claims",
]
MethodName = Literal[
    "empty", "random", "constant", "truncate", "round", "prefix", "network", "mask", "domain", "token", "redact", "json"
]


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time: calendar (months, days) or exact (seconds), never both. `text` is as written."""

    months: int
    days: int
    seconds: int
    text: str

    @property
    def calendar(self) -> bool:
        """True where the period counts whole local days."""
        return self.seconds == 0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a clock's value is read: an own column, one related row (`which` None), or the last/first of several."""

    column: str
    record: str | None = None
    which: Which | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """A moment, or the last day of the month, quarter or year it falls into. `text` is as written."""

    moment: Moment
    end_of: EndOf | None
    text: str


@dataclass(frozen=True, slots=True)
class Term:
    """`PERIOD after CLOCK`, or `until CLOCK` where `period` is None."""

    period: Period | None
    clock: Clock

    @property
    def text(self) -> str:
        """The term as a reader would say it."""
        return f"{self.period.text} after {self.clock.text}" if self.period else f"until {self.clock.text}"


@dataclass(frozen=True, slots=True)
class Keep:
    """How long a rule keeps a row. `floor` is true for `at least`; `combine` is `only` for a single term."""

    terms: tuple[Term, ...]
    combine: Combine
    floor: bool


@dataclass(frozen=True, slots=True)
class Method:
    """How one column is masked. `argument` is the constant's text, the unit, the number or `email`, by name."""

    name: MethodName
    argument: str | int | None = None
    inside: tuple[tuple[str, "Method"], ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """What happens to a due row. `clear` holds its columns as `empty` methods."""

    verb: Verb
    methods: tuple[tuple[str, Method], ...] = ()
    leave: tuple[str, ...] = ()

    @property
    def masks(self) -> bool:
        """True where the row stays and columns change."""
        return self.verb in ("anonymise", "pseudonymise", "clear")


@dataclass(frozen=True, slots=True)
class Link:
    """A `belongs_to`: own `column` holds the `references` column (None: the one-column primary key) of `record`."""

    record: str
    column: str
    references: str | None = None


@dataclass(frozen=True, slots=True)
class OnRequest:
    """What a request of the data subject does here: `go`, or `stay` with the reason given in the answer."""

    stay: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A named thing the policy speaks of, bound to one table in each of its sources."""

    name: str
    sources: tuple[str, ...]
    table: str
    subject_type: str | None = None
    subject_column: str | None = None
    belongs_to: tuple[Link, ...] = ()
    cascade: tuple[str, ...] = ()
    held: str | None = None
    marker: str | None = None
    formats: tuple[tuple[str, str], ...] = ()
    timezone: str = "UTC"
    plausible_from: date = date(1971, 1, 1)
    never_happened: tuple[str, ...] = ()
    key: tuple[str, ...] | None = None
    on_request: OnRequest | None = None

    def format_of(self, column: str) -> str | None:
        """The declared format of a clock column, or None where its type alone must say it."""
        return dict(self.formats).get(column)


@dataclass(frozen=True, slots=True)
class Where:
    """A rule's condition: as written, and parsed."""

    text: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Statute:
    """The law that demands a floor and the day somebody last checked it."""

    law: str
    checked: date


@dataclass(frozen=True, slots=True)
class Guard:
    """A rule's own caps; None where the default holds. `max_share` is a fraction of the table (0.05 for 5 %)."""

    max_rows: int | None = None
    max_share: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence of the policy: which rows, how long, and then what."""

    name: str
    record: str
    clause: str
    keep: Keep
    action: Action
    index: int
    where: Where | None = None
    schedule: str = ""
    within: timedelta | None = None
    purpose: str | None = None
    basis: Basis | None = None
    statute: Statute | None = None
    columns: tuple[str, ...] = ()
    on_request: OnRequest | None = None
    guard: Guard = Guard()

    @property
    def has_job(self) -> bool:
        """True where the rule destroys something; `then: nothing` is a floor only."""
        return self.action.verb != "nothing"


@dataclass(frozen=True, slots=True)
class Promise:
    """A retention sentence of the published policy; `undecided` says what decision is missing, `owner` whose it is."""

    clause: str
    says: str
    undecided: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """
    One published retention policy, resolved. `places` maps a path such as ("rules", 0, "keep") to its position;
    `sha256` is of the bytes it was read from.
    """

    file: str
    version: int
    name: str
    title: str
    records: tuple[Record, ...]
    rules: tuple[Rule, ...]
    promises: tuple[Promise, ...] = ()
    controllers: tuple[str, ...] = ()
    role: Literal["controller", "processor"] = "controller"
    dpo: str | None = None
    authority: str | None = None
    published: date | None = None
    effective: date | None = None
    timezone: str = "UTC"
    schedule: str = "daily at 02:00"
    answer_within: Period | None = None
    plausible_from: date = date(1971, 1, 1)
    earliest_wins: bool = False
    outside: tuple[tuple[str, str], ...] = ()
    exempt: tuple[tuple[str, str, str], ...] = ()
    sha256: str = field(default="", compare=False)
    places: Mapping[tuple[str | int, ...], Position] = field(default_factory=dict, compare=False, hash=False)
    _records: Mapping[str, Record] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_records", {record.name: record for record in self.records})

    def record(self, name: str) -> Record:
        """The record of that name; the name is known to exist."""
        return self._records[name]

    def rule(self, name: str) -> Rule:
        """The rule of that name; the name is known to exist."""
        return next(rule for rule in self.rules if rule.name == name)

    def place(self, *path: str | int) -> Position:
        """The position of the deepest known part of `path`, so that every message can point somewhere true."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return self.places.get((), Position(self.file, 1, 1))
