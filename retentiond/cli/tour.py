"""The tour of the demo: what was due, what went, what stayed and why, and that nothing is due any more."""

import sys
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from retentiond.cli.carrying import Carrying, Outcome, write
from retentiond.cli.failures import FAILED, FINE, worst
from retentiond.cli.job_views import name_of, remarks, totals
from retentiond.cli.moments import now
from retentiond.cli.output import Column, Sheet, colourful, counted, write_sheet
from retentiond.engine.consent import consent_of_this_person
from retentiond.engine.report import JobReport
from retentiond.settings import load_settings

COLUMNS = (
    Column("rule"),
    Column("source"),
    Column("action"),
    Column("due", number=True),
    Column("went", number=True),
    Column("with it", number=True),
    Column("held", number=True),
    Column("floored", number=True),
    Column("suspect", number=True),
    Column("not started", number=True),
    Column("due now", number=True),
)


def show_around(file: Path) -> int:
    """The exit code of a tour of the databases that this settings file names: 0 where nothing is left due."""
    settings = load_settings(file, {})  # the demo is alike everywhere: no variable of the environment bears on it
    at = now()
    with Carrying(settings, (), None) as carrying:
        policies, warnings = carrying.workspace.policies, carrying.workspace.warnings
        rules = sum(len(policy.rules) for policy in policies)
        _headline("1. validate: the policies fit the databases")
        sizes = (counted(len(policies), "policy"), counted(rules, "rule"), counted(len(carrying.jobs), "job"))
        click.echo(f"{', '.join(sizes)}; {counted(len(warnings), 'warning')} (`retentiond validate` shows them)")
        _headline("2. plan: what would go; nothing is written")
        before = carrying.look(at)
        write(before, "table", settings.timezone)
        _headline("3. run: what is due goes, the rest stays and says why")
        done = carrying.do(at, consent_of_this_person())
        after = carrying.look(at)
        _show(before, done, after)
        _headline("4. plan again: the same dry run, at the same instant")
        return worst([before.exit_code(), done.exit_code(), _verdict(after, settings.timezone)])


def _headline(text: str) -> None:
    bold = click.style(text, bold=True) if colourful(sys.stdout) else text
    click.echo(f"\n{bold}\n")


def _show(before: Outcome, done: Outcome, after: Outcome) -> None:
    left = {name_of(report): report for report in after.reports}
    was = {name_of(report): report for report in before.reports}
    rows = [_row(was.get(name_of(report)), report, left.get(name_of(report))) for report in done.reports]
    write_sheet(Sheet(COLUMNS, tuple(rows)))
    for line in _failures(done.reports):
        click.echo(line)
    click.echo(
        "held: hands off, as the row or one below it says; floored: a law keeps it; suspect: a date that cannot be "
        "true; not started: what ends the time has not happened. A row due under two rules goes by the first of them."
    )


def _row(before: JobReport | None, done: JobReport, after: JobReport | None) -> tuple[str, ...]:
    return (
        done.name,
        done.source,
        done.action,
        counted(before.due if before else None),
        counted(done.done),
        counted(sum(done.cascade.values())),
        *(
            counted(count)
            for count in ((after.held, after.floored, after.suspect, after.not_started) if after else (None,) * 4)
        ),
        counted(after.due if after else None),
    )


def _failures(reports: Sequence[JobReport]) -> list[str]:
    return [line for report in reports if report.failed or report.set_aside for line in remarks([report])]


def _verdict(after: Outcome, zone: ZoneInfo) -> int:
    """1 where something is still due or could not be looked at; a table of what is left, if anything."""
    due = sum(report.due or 0 for report in after.reports)
    if due or after.exit_code():
        write(after, "table", zone)
        return FAILED
    click.echo(totals(after.reports))
    return FINE
