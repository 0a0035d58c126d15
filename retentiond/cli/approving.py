"""`approve` without `--withdraw`: what is due now and what an approval releases are shown, then it is given."""

import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from retentiond.cli.carrying import Carrying, Outcome
from retentiond.cli.failures import FAILED, REFUSED, tell, worst
from retentiond.cli.job_views import job_sheet, name_of
from retentiond.cli.moments import now
from retentiond.cli.output import counted, write_sheet
from retentiond.compiler.plan import Job
from retentiond.engine.approving import Approver, Offer, offer
from retentiond.engine.count import Tally
from retentiond.engine.custody import Custody, open_custody, utc_now
from retentiond.engine.people import this_person
from retentiond.engine.policy_files import refuse_exposed
from retentiond.engine.report import JobReport
from retentiond.engine.session import Session
from retentiond.errors import RefusedError
from retentiond.settings import Settings


def approve(settings: Settings, rule: str) -> int:
    """The exit code of approving the jobs of a RULE: 0 where all is approved, 3 where something cannot be."""
    with Carrying(settings, (rule,), None) as carrying:
        refuse_exposed(carrying.exposures)
        with carrying.store() as store, Session(carrying.sources, apply=False) as session:
            custody = open_custody(carrying.workspace, carrying.sources, store)
            outcome = carrying.carry(now(), custody)
            if outcome.stopped:
                raise outcome.stopped
            write_sheet(job_sheet(outcome.reports, settings.timezone, done=False))
            codes = [FAILED for report in outcome.reports if _failed(report)]
            offers = list(_offers(carrying, custody, outcome, session))
            codes += [REFUSED for one in offers if one.blockers]
            wanted = [one for one in offers if one.releases and not one.blockers]
            if wanted:
                _confirm(wanted)
            approver = Approver(store, custody.warden, this_person(), utc_now, settings.approval.four_eyes)
            codes += [REFUSED for one in wanted if not _given(approver, one, session)]
    return worst(codes)


def _failed(report: JobReport) -> bool:
    """True, and said, where a job could not be looked at."""
    if report.failed:
        click.echo(f"{name_of(report)}: cannot be looked at: {report.failed.code}: {report.failed.message}")
    return report.failed is not None


def _offers(carrying: Carrying, custody: Custody, outcome: Outcome, session: Session) -> Iterator[Offer]:
    """What there is to approve of each job, told as it is found."""
    reports = {name_of(report): report for report in outcome.reports}
    for job in carrying.ready:
        report = reports[job.name]
        if report.failed:
            continue
        tally = Tally(due=report.due or 0, total=report.total or 0)
        found = offer(job, tally, custody.warden, session)
        for line in _lines(job, found):
            click.echo(line)
        yield found


def _lines(job: Job, found: Offer) -> Iterable[str]:
    yield from (f"{job.name}: no approval releases the guard {no.guard}: {no}" for no in found.blockers)
    if found.blockers:
        return
    if not found.releases:
        yield f"{job.name}: approved already, and nothing is exceeded"
    yield from (f"{job.name}: releases: {what}" for what in found.releases)


def _confirm(wanted: Sequence[Offer]) -> None:
    """Asks on a terminal; off one, whoever wrote the command has said what they want."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not click.confirm(f"Approve {counted(len(wanted), 'job')}?", err=True):
        raise RefusedError("nothing was approved: the answer was no", code="not-confirmed")


def _given(approver: Approver, one: Offer, session: Session) -> bool:
    """True where the approval was given, or asked for where it takes two."""
    try:
        given = approver.give(one, session)
    except RefusedError as error:
        tell(error)
        return False
    rows = counted(one.wanted.rows, "row")
    if given.in_force:
        click.echo(f"approved: {one.job.name} ({rows})")
    else:
        click.echo(f"waits for a second person: {one.job.name} ({rows})")
    return True
