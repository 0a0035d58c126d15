"""What a job reports, dry or real: the values behind `plan` and `run`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from retentiond.state.values import Failure


@dataclass(frozen=True, slots=True)
class Cutoff:
    """One term's cutoff: the clock as the policy says it, and the first instant (or day) that is not yet due."""

    clock: str
    cutoff: str


@dataclass(frozen=True, slots=True)
class JobReport:
    """
    One job's counts at `at`. `due` … `total` are None where they were not counted.

    `guard` is `ok` or the name of what stopped the job, `guard_message` then what to do about it. `cascade` maps
    source.table to the rows that went (in a dry run: would go) with the job's own rows.
    """

    policy: str
    rule: str
    source: str
    record: str
    table: str
    action: str
    at: datetime
    dry_run: bool
    cutoffs: tuple[Cutoff, ...] = ()
    single_cutoff: str | None = None
    due: int | None = None
    held: int | None = None
    floored: int | None = None
    not_started: int | None = None
    suspect: int | None = None
    total: int | None = None
    oldest_due: datetime | None = None
    counted_at: datetime | None = None
    estimated: bool = False
    cascade: Mapping[str, int] = field(default_factory=dict)
    guard: str = "ok"
    guard_message: str = ""
    approval: str = "not needed"
    done: int = 0
    set_aside: int = 0
    failed: Failure | None = None
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """`policy/rule`, as RULE on the command line."""
        return f"{self.policy}/{self.rule}"

    def as_json(self) -> dict[str, object]:
        """The job as `plan --format json` and `run --format json` print it."""
        return {
            "policy": self.policy,
            "rule": self.rule,
            "source": self.source,
            "record": self.record,
            "table": self.table,
            "action": self.action,
            "cutoff": self.single_cutoff,
            "cutoffs": [{"clock": cutoff.clock, "cutoff": cutoff.cutoff} for cutoff in self.cutoffs],
            "due": self.due,
            "held": self.held,
            "floored": self.floored,
            "not_started": self.not_started,
            "suspect": self.suspect,
            "total": self.total,
            "oldest_due": instant_text(self.oldest_due),
            "counted_at": instant_text(self.counted_at),
            "estimated": self.estimated,
            "cascade": dict(sorted(self.cascade.items())),
            "guard": self.guard,
            "guard_message": self.guard_message,
            "approval": self.approval,
            "done": self.done,
            "set_aside": self.set_aside,
            "failed": {"code": self.failed.code, "message": self.failed.message} if self.failed else None,
            "seconds": round(self.seconds, 3),
        }


def instant_text(moment: datetime | None) -> str | None:
    """The instant in ISO 8601, UTC with `Z`, whole seconds without a fraction."""
    if moment is None:
        return None
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds" if utc.microsecond else "seconds") + "Z"
