"""What `replay` shows and does."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from retentiond.cli.carrying import Outcome, write
from retentiond.cli.failures import FAILED, FINE, worst
from retentiond.cli.output import counted, write_document
from retentiond.compiler.plan import Job
from retentiond.engine.custody import Custody
from retentiond.engine.people import login_name
from retentiond.engine.replay_run import Replay, replay, replays
from retentiond.errors import RefusedError, RetentiondError


def listed(jobs: Sequence[Job], source: str, custody: Custody) -> list[Replay]:
    """What came back, by job."""
    return list(replays(jobs, source, custody))


def write_list(found: Sequence[Replay], left: Sequence[str], source: str, form: str) -> int:
    """Writes what came back; the exit code."""
    if form == "json":
        write_document({"source": source, "came_back": [_as_json(one) for one in found], "without_rule": list(left)})
        return FINE
    if not found:
        click.echo(f"{source} is not behind the ledger: nothing came back")
    for line in _lines(found, left):
        click.echo(line)
    return FINE


def ask(found: Sequence[Replay], left: Sequence[str], source: str) -> None:
    """Shows what came back and asks once; raises RefusedError where the answer is no."""
    click.echo(f"{source} was restored from a back-up. What came back:", err=True)
    for line in _lines(found, left):
        click.echo(line, err=True)
    if not click.confirm("Destroy it again now, as far as it is due?", err=True):
        raise RefusedError("nothing was touched: the answer was no", code="not-confirmed")


def outcome(
    found: Sequence[Replay], left: Sequence[str], custody: Custody, at: datetime, form: str, zone: ZoneInfo
) -> int:
    """Destroys again, job by job, and writes what was done; the exit code."""
    reports, stopped = [], None
    for one in found:
        try:
            reports.append(replay(one, custody, at, login_name()))
        except RetentiondError as error:
            stopped = error
            break
    done = Outcome(at, False, tuple(reports), stopped)
    if form == "table":
        for line in _lines(found, left):
            click.echo(line)
    write(done, form, zone)
    incomplete = bool(left) or not all(one.whole for one in found) or any(_orphans(one) for one in found)
    return worst([done.exit_code(), FAILED if incomplete else FINE])


def _lines(found: Sequence[Replay], left: Sequence[str]) -> list[str]:
    lines = []
    for one in found:
        tables = ", ".join(f"{counted(count)} of {label}" for label, count in sorted(one.counts.items()))
        lines.append(f"{one.job.name}: came back: {tables or 'nothing'}")
        if not one.whole:
            lines.append(f"{one.job.name}: not all could be looked for: tokens, their key or a table are gone")
        if orphans := _orphans(one):
            lines.append(f"{one.job.name}: without the rows they belonged to: {orphans}; delete them by hand")
    return lines + [f"{name}: no policy has this rule any more; what it destroyed is not looked for" for name in left]


def _orphans(one: Replay) -> str:
    """Rows that came back in a source where their parents do not live, and whose parents did not come back."""
    if any(back.source == one.job.source for back in one.came_back):
        return ""
    return ", ".join(f"{counted(count)} of {label}" for label, count in sorted(one.counts.items()))


def _as_json(one: Replay) -> dict[str, object]:
    sources = {back.source: {"fence": back.fence, "batches": back.batches} for back in one.came_back}
    return {"job": one.job.name, "tables": dict(sorted(one.counts.items())), "sources": sources, "whole": one.whole}
