"""What the state store takes and gives: frozen, all instants in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Outcome = Literal["running", "done", "failed", "interrupted"]
FinalOutcome = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts: the name, and the audit login uid (None where the system knows none)."""

    name: str
    login_uid: int | None


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """A rule on a source. (policy, rule, source) is what makes it the same job in the next run."""

    policy: str
    rule: str
    source: str
    record: str
    table: str
    action: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the job."""
        return self.policy, self.rule, self.source

    @property
    def name(self) -> str:
        """`policy/rule@source`, as the ledger names the job."""
        return f"{self.policy}/{self.rule}@{self.source}"

    @property
    def own_table(self) -> str:
        """The job's own table as the keys of a chunk's `tables` must write it."""
        return f"{self.source}.{self.table}"


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by class. None is what was not counted; `counted_at` is None where only `due` is of this run."""

    due: int | None = None
    held: int | None = None
    floored: int | None = None
    not_started: int | None = None
    suspect: int | None = None
    total: int | None = None
    oldest_due: datetime | None = None
    counted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed: a code and a message without any value of a row."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one job. `done` and `cascade` are the sums over its chunks, so they hold after a crash as well."""

    id: str
    job: JobIdentity
    plan_digest: str
    as_of: datetime
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome
    done: int
    cascade: Mapping[str, int]
    counts: Counts
    failed: Failure | None
    requested_by: str
    host: str
    pid: int

    @property
    def seconds(self) -> float | None:
        """How long the run took; None while nobody knows its end."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """One committed transaction of a run: `rows` of the job's own selection, `tables` all that went, own included."""

    run_id: str
    number: int
    committed_at: datetime
    rows: int
    tables: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class JobHistory:
    """What is remembered of one job: its last run and its last good one."""

    job: JobIdentity
    last: RunRecord
    last_success: RunRecord | None
