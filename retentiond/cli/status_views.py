"""How `status` looks: what is remembered of every job, as a table, as lines below it and as a document."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from retentiond.cli.hold_views import summary
from retentiond.cli.moments import now, shown
from retentiond.cli.output import NOTHING, Column, Sheet, counted
from retentiond.engine.report import instant_text
from retentiond.errors import RetentiondError
from retentiond.policy.loader import load_policies
from retentiond.settings import Settings
from retentiond.state.approvals import Approval
from retentiond.state.stops import Stop
from retentiond.state.store import Store
from retentiond.state.values import Counts, JobHistory, RunRecord

COLUMNS = (
    Column("rule"),
    Column("source"),
    Column("last run"),
    Column("outcome"),
    Column("done", number=True),
    Column("last success"),
    Column("next run"),
    Column("due", number=True),
    Column("held", number=True),
    Column("suspect", number=True),
    Column("counted"),
    Column("approval"),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """
    How all jobs stand: what is remembered and was last counted of each, its newest approval, the stops, and every rule
    that there is (None where the policies cannot be read); and how many legal holds there are.
    """

    jobs: tuple[JobHistory, ...]
    counts: Mapping[tuple[str, str, str], Counts | None]
    approvals: Mapping[str, Approval]
    stops: tuple[Stop, ...]
    rules: frozenset[str] | None
    holds: Mapping[str, int]

    def gone(self, rule: str) -> bool | None:
        """True for a rule that is in no policy any more."""
        return None if self.rules is None else rule not in self.rules

    def stop(self, rule: str) -> Stop | None:
        """What stops the rule, or None."""
        return next((stop for stop in self.stops if stop.covers(rule)), None)

    def left(self, history: JobHistory) -> int | None:
        """The backlog as last counted: what was due, less what the run that counted it did."""
        counts = self.counts[history.job.key]
        if counts is None or counts.due is None:
            return None
        return max(counts.due - history.last.done, 0) if counts == history.last.counts else counts.due

    def word(self, history: JobHistory) -> str:
        """The approval of the plan that ran last in one word, or what counts more."""
        rule = f"{history.job.policy}/{history.job.rule}"
        if self.gone(rule):
            return "rule is gone"
        if self.stop(rule):
            return "stopped"
        approval = self.approvals.get(history.job.name)
        if approval is not None and not approval.in_force:
            return "waits for a second"
        if approval is not None and approval.wanted.digest == history.last.plan_digest:
            return "given"
        return "missing" if self.left(history) else NOTHING


def standing_of(settings: Settings, store: Store) -> Standing:
    """How the jobs stand; policies that cannot be read hide nothing of what has run."""
    jobs = tuple(store.runs.latest())
    counts = {history.job.key: store.runs.counts(*history.job.key) for history in jobs}
    approvals: dict[str, Approval] = {}
    for approval in store.approvals.open():
        approvals.setdefault(approval.wanted.job, approval)
    rules: frozenset[str] | None = None
    try:
        policies = load_policies(settings.policy_files(), default_timezone=str(settings.timezone))
        rules = frozenset(f"{policy.name}/{rule.name}" for policy in policies for rule in policy.rules)
    except RetentiondError:
        pass  # `validate` says what is wrong with them
    holds = summary(store.holds.all(), now().astimezone(settings.timezone).date())
    return Standing(jobs, counts, dict(sorted(approvals.items())), store.stops.active(), rules, holds)


def document(standing: Standing) -> dict[str, object]:
    """What `status --format json` prints."""
    return {
        "jobs": [_job(history, standing) for history in standing.jobs],
        "approvals": [_approval(approval) for approval in standing.approvals.values()],
        "stops": [_stop(stop) for stop in standing.stops],
        "holds": dict(standing.holds),
    }


def sheet(standing: Standing, zone: ZoneInfo) -> Sheet:
    """The jobs that ever ran, as a table."""
    return Sheet(COLUMNS, tuple(_row(history, standing, zone) for history in standing.jobs))


def lines(standing: Standing, zone: ZoneInfo) -> list[str]:
    """Why runs failed, what is stopped, the approvals of jobs that never ran, and how many legal holds there are."""
    found = [
        f"{history.job.name}: {history.last.failed.code}: {history.last.failed.message}"
        for history in standing.jobs
        if history.last.failed
    ]
    found += [
        f"stopped: {stop.pattern} since {shown(stop.stopped_at, zone)}, by {stop.stopped_by}" for stop in standing.stops
    ]
    ran = {history.job.name for history in standing.jobs}
    for job, approval in standing.approvals.items():
        if job not in ran:
            word = "approved" if approval.in_force else "waits for a second person; asked"
            gone = "; its rule is gone" if standing.gone(job.rpartition("@")[0]) else ""
            found.append(f"{job}: {word} {shown(approval.given_at, zone)} by {approval.given_by.name}{gone}")
    if standing.holds["active"]:
        late = standing.holds["review_overdue"]
        overdue = f"; {late:,} past the day on which somebody was to look at it again" if late else ""
        found.append(f"legal holds: {standing.holds['active']:,}{overdue}")
    return found


def _row(history: JobHistory, standing: Standing, zone: ZoneInfo) -> tuple[str, ...]:
    last, good, counts = history.last, history.last_success, standing.counts[history.job.key]
    return (
        f"{history.job.policy}/{history.job.rule}",
        history.job.source,
        shown(last.started_at, zone),
        last.outcome,
        counted(last.done),
        shown(good.started_at, zone) if good else NOTHING,
        NOTHING,
        counted(standing.left(history)),
        *(counted(number) for number in ((counts.held, counts.suspect) if counts else (None, None))),
        shown(counts.counted_at, zone) if counts else NOTHING,
        standing.word(history),
    )


def _job(history: JobHistory, standing: Standing) -> dict[str, object]:
    job, counts = history.job, standing.counts[history.job.key]
    approval = standing.approvals.get(job.name)
    stop = standing.stop(f"{job.policy}/{job.rule}")
    return {
        "policy": job.policy,
        "rule": job.rule,
        "source": job.source,
        "record": job.record,
        "table": job.table,
        "action": job.action,
        "last_run": _run(history.last),
        "last_success": _run(history.last_success) if history.last_success else None,
        "next_run": None,
        "due": standing.left(history),
        "held": counts.held if counts else None,
        "floored": counts.floored if counts else None,
        "not_started": counts.not_started if counts else None,
        "suspect": counts.suspect if counts else None,
        "total": counts.total if counts else None,
        "oldest_due": instant_text(counts.oldest_due) if counts else None,
        "counted_at": instant_text(counts.counted_at) if counts else None,
        "approval": _approval(approval) if approval else None,
        "stopped": stop.pattern if stop else None,
        "gone": standing.gone(f"{job.policy}/{job.rule}"),
    }


def _approval(approval: Approval) -> dict[str, object]:
    return {
        "job": approval.wanted.job,
        "at": instant_text(approval.given_at),
        "by": approval.given_by.name,
        "in_force": approval.in_force,
        "by_two": approval.by_two,
        "digest": approval.wanted.digest,
        "rows": approval.wanted.rows,
        "guards": list(approval.wanted.caps),
    }


def _stop(stop: Stop) -> dict[str, object]:
    return {"pattern": stop.pattern, "at": instant_text(stop.stopped_at), "by": stop.stopped_by}


def _run(run: RunRecord) -> dict[str, object]:
    return {
        "run": run.id,
        "at": instant_text(run.as_of),
        "started": instant_text(run.started_at),
        "finished": instant_text(run.finished_at),
        "outcome": run.outcome,
        "done": run.done,
        "cascade": dict(run.cascade),
        "failed": {"code": run.failed.code, "message": run.failed.message} if run.failed else None,
        "requested_by": run.requested_by,
    }
