"""`status`: what is remembered of every job."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import click

from retentiond.cli.moments import shown
from retentiond.cli.output import NOTHING, Column, Sheet, counted, write_document, write_sheet
from retentiond.cli.program import Command, Options
from retentiond.engine.report import instant_text
from retentiond.errors import RetentiondError
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
class Permissions:
    """What is allowed: the newest approval of each job, the stops, and every rule (None where nobody can tell)."""

    approvals: Mapping[str, Approval]
    stops: tuple[Stop, ...]
    rules: frozenset[str] | None

    def gone(self, rule: str) -> bool | None:
        """True for a rule that is in no policy any more."""
        return None if self.rules is None else rule not in self.rules

    def stop(self, rule: str) -> Stop | None:
        """What stops the rule, or None."""
        return next((stop for stop in self.stops if stop.covers(rule)), None)

    def word(self, history: JobHistory, due: int | None) -> str:
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
        return "missing" if due else NOTHING


@click.command("status", cls=Command)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to write it.")
@click.pass_obj
def status_command(options: Options, form: str) -> None:
    """Show the last run of every job, what is approved, and what is stopped."""
    from retentiond.settings import load_settings
    from retentiond.state.store import open_store

    settings = load_settings(options.config)
    with open_store(settings.state.connection_url(), create=False) as store:
        jobs = store.runs.latest()
        counts = {history.job.key: store.runs.counts(*history.job.key) for history in jobs}
        allowed = _permissions(settings, store)
    if form == "json":
        documents = [_as_json(history, counts[history.job.key], allowed) for history in jobs]
        approvals = [_approval(approval) for approval in allowed.approvals.values()]
        stops = [_stop(stop) for stop in allowed.stops]
        write_document({"jobs": documents, "approvals": approvals, "stops": stops})
        return
    if not jobs:
        click.echo("nothing has run yet")
    else:
        rows = (_row(history, counts[history.job.key], allowed, settings.timezone) for history in jobs)
        write_sheet(Sheet(COLUMNS, tuple(rows)))
        for history in jobs:
            if history.last.failed:
                click.echo(f"{history.job.name}: {history.last.failed.code}: {history.last.failed.message}")
    for line in _lines(allowed, {history.job.name for history in jobs}, settings.timezone):
        click.echo(line)


def _permissions(settings: Settings, store: Store) -> Permissions:
    from retentiond.policy.loader import load_policies

    approvals: dict[str, Approval] = {}
    for approval in store.approvals.open():
        approvals.setdefault(approval.wanted.job, approval)
    try:
        policies = load_policies(settings.policy_files(), default_timezone=str(settings.timezone))
        rules = frozenset(f"{policy.name}/{rule.name}" for policy in policies for rule in policy.rules)
    except RetentiondError:  # `validate` says what is wrong; what has run is told all the same
        return Permissions(dict(sorted(approvals.items())), store.stops.active(), None)
    return Permissions(dict(sorted(approvals.items())), store.stops.active(), rules)


def _lines(allowed: Permissions, ran: set[str], zone: ZoneInfo) -> list[str]:
    """Stops, and approvals of jobs that never ran."""
    lines = [
        f"stopped: {stop.pattern} since {shown(stop.stopped_at, zone)}, by {stop.stopped_by}" for stop in allowed.stops
    ]
    for job, approval in allowed.approvals.items():
        if job not in ran:
            when = f"{shown(approval.given_at, zone)} by {approval.given_by.name}"
            gone = "; its rule is gone" if allowed.gone(job.rpartition("@")[0]) else ""
            lines.append(
                f"{job}: {'approved' if approval.in_force else 'waits for a second person, asked'} {when}{gone}"
            )
    return lines


def left(history: JobHistory, counts: Counts | None) -> int | None:
    """The backlog as last counted: what was due, less what the run that counted it did."""
    if counts is None or counts.due is None:
        return None
    return max(counts.due - history.last.done, 0) if counts == history.last.counts else counts.due


def _row(history: JobHistory, counts: Counts | None, allowed: Permissions, zone: ZoneInfo) -> tuple[str, ...]:
    last, good = history.last, history.last_success
    return (
        f"{history.job.policy}/{history.job.rule}",
        history.job.source,
        shown(last.started_at, zone),
        last.outcome,
        counted(last.done),
        shown(good.started_at, zone) if good else NOTHING,
        NOTHING,
        counted(left(history, counts)),
        *(counted(number) for number in ((counts.held, counts.suspect) if counts else (None, None))),
        shown(counts.counted_at, zone) if counts else NOTHING,
        allowed.word(history, left(history, counts)),
    )


def _as_json(history: JobHistory, counts: Counts | None, allowed: Permissions) -> dict[str, object]:
    job = history.job
    approval = allowed.approvals.get(job.name)
    stop = allowed.stop(f"{job.policy}/{job.rule}")
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
        "due": left(history, counts),
        "held": counts.held if counts else None,
        "floored": counts.floored if counts else None,
        "not_started": counts.not_started if counts else None,
        "suspect": counts.suspect if counts else None,
        "total": counts.total if counts else None,
        "oldest_due": instant_text(counts.oldest_due) if counts else None,
        "counted_at": instant_text(counts.counted_at) if counts else None,
        "approval": _approval(approval) if approval else None,
        "stopped": stop.pattern if stop else None,
        "gone": allowed.gone(f"{job.policy}/{job.rule}"),
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
