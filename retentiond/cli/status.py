"""`status`: what is remembered of every job."""

from zoneinfo import ZoneInfo

import click

from retentiond.cli.moments import shown
from retentiond.cli.output import NOTHING, Column, Sheet, counted, write_document, write_sheet
from retentiond.cli.program import Command, Options
from retentiond.engine.report import instant_text
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
)


@click.command("status", cls=Command)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to write it.")
@click.pass_obj
def status_command(options: Options, form: str) -> None:
    """Show the last run of every job."""
    from retentiond.settings import load_settings
    from retentiond.state.store import open_store

    settings = load_settings(options.config)
    with open_store(settings.state.connection_url(), create=False) as store:
        jobs = store.runs.latest()
        counts = {history.job.key: store.runs.counts(*history.job.key) for history in jobs}
    if form == "json":
        write_document({"jobs": [_as_json(history, counts[history.job.key]) for history in jobs]})
    elif not jobs:
        click.echo("nothing has run yet")
    else:
        rows = (_row(history, counts[history.job.key], settings.timezone) for history in jobs)
        write_sheet(Sheet(COLUMNS, tuple(rows)))
        for history in jobs:
            if history.last.failed:
                job, failed = history.job, history.last.failed
                click.echo(f"{job.policy}/{job.rule}@{job.source}: {failed.code}: {failed.message}")


def left(history: JobHistory, counts: Counts | None) -> int | None:
    """The backlog as last counted: what was due, less what the run that counted it did."""
    if counts is None or counts.due is None:
        return None
    return max(counts.due - history.last.done, 0) if counts == history.last.counts else counts.due


def _row(history: JobHistory, counts: Counts | None, zone: ZoneInfo) -> tuple[str, ...]:
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
    )


def _as_json(history: JobHistory, counts: Counts | None) -> dict[str, object]:
    job = history.job
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
    }


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
