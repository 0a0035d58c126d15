"""What `plan`, `run` and the tour share: a workspace opened, its jobs looked at or carried out, the outcome written."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

import click

from retentiond.cli.bars import progress_bars
from retentiond.cli.failures import DUE, FAILED, REFUSED, exit_code, tell, worst
from retentiond.cli.hold_reading import refuse_sealed
from retentiond.cli.job_views import Extras, as_json, csv_text, job_sheet, name_of, remarks, sample_text, totals
from retentiond.cli.output import warn, write_document, write_sheet
from retentiond.compiler.plan import BlockedJob, Job
from retentiond.engine.consent import NONE, Consent, consent_of_this_person
from retentiond.engine.custody import Custody, open_custody
from retentiond.engine.people import login_name
from retentiond.engine.policy_files import Exposure
from retentiond.engine.report import JobReport, instant_text
from retentiond.engine.run import carry_out
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace, open_workspace
from retentiond.errors import EvidenceError, RefusedError, RetentiondError
from retentiond.settings import Settings
from retentiond.state.store import Store, open_store

NO_EXTRAS = Extras({}, {})


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What the jobs came to. `stopped` is what ended it before the last job; `requests` is None where none were looked
    for.
    """

    at: datetime
    dry_run: bool
    reports: tuple[JobReport, ...]
    stopped: RetentiondError | None = None
    requests: tuple[object, ...] | None = None

    def exit_code(self, *, due_counts: bool = False) -> int:
        """The exit code that counts; with `due_counts` due rows make it 10."""
        codes = [exit_code(self.stopped)] if self.stopped else []
        for report in self.reports:
            if report.failed:
                codes.append(FAILED)
            if not self.dry_run and (report.guard != "ok" or report.approval == "missing"):
                codes.append(REFUSED)
            if due_counts and report.due:
                codes.append(DUE)
        return worst(codes)


class Carrying:
    """The jobs of some RULE patterns on one source or all, with the connections they need."""

    def __init__(self, settings: Settings, rules: tuple[str, ...], source: str | None) -> None:
        self._settings = settings
        self._rules = rules
        self._source = source
        self._stack = ExitStack()
        self.looked_at: tuple[Job, ...] = ()
        """The jobs with what was held when they were looked at last."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.sources = stack.enter_context(Sources(self._settings))
            self.workspace: Workspace = open_workspace(self._settings, self.sources)
            self.jobs: tuple[Job | BlockedJob, ...] = self.workspace.select(self._rules, self._source)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def ready(self) -> tuple[Job, ...]:
        """The jobs that can be carried out."""
        return tuple(job for job in self.jobs if isinstance(job, Job))

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """What others could have changed among settings and policies when they were read."""
        return self.workspace.exposures

    def look(self, at: datetime, *, estimate: bool = False) -> Outcome:
        """What a run at that instant would find; nothing is written."""
        if estimate:
            return self.carry(at, None, estimate=True)
        with self._reading() as custody:
            outcome = self.carry(at, custody)
            self.looked_at = tuple(_with_holds(self.ready, custody))
        return outcome

    def do(self, at: datetime, consent: Consent) -> Outcome:
        """What a run found and did; `consent` is the yes that was said to it beforehand."""
        with self.custody(consent) as custody:
            return self.carry(at, custody, apply=True)

    @contextmanager
    def custody(self, consent: Consent, *, outdated: bool = False) -> Iterator[Custody]:
        """What a real run asks and leaves behind; `outdated` as `open_store` takes it."""
        with self.store(outdated=outdated) as store:
            yield open_custody(self.workspace, self.sources, store, consent=consent, exposures=self.exposures)

    def carry(self, at: datetime, custody: Custody | None, *, apply: bool = False, estimate: bool = False) -> Outcome:
        """Carries the jobs out, or looks at them; keeps what was reported before an error."""
        reports: list[JobReport] = []
        stopped: RetentiondError | None = None
        with progress_bars() as bars:
            try:
                for report in carry_out(
                    self.jobs,
                    self.sources,
                    at,
                    apply=apply,
                    custody=custody,
                    progress=bars,
                    estimate=estimate,
                    requested_by=login_name(),
                ):
                    reports.append(report)  # noqa: PERF402 - what came before an error is kept
            except RetentiondError as error:
                stopped = error
        requests = () if apply and not self._rules else None
        return Outcome(at, not apply, tuple(reports), stopped, requests)

    def store(self, *, outdated: bool = False) -> Store:
        """The state store, opened to write."""
        settings = self._settings
        return open_store(settings.state.connection_url(), create=True, keys=settings.ledger.keys, outdated=outdated)

    @contextmanager
    def _reading(self) -> Iterator[Custody | None]:
        """What a dry run asks for approvals and holds; None, with a warning, where it may not read them."""
        with ExitStack() as stack:
            try:
                store = stack.enter_context(open_store(self._settings.state.connection_url(), create=False))
                custody = open_custody(self.workspace, self.sources, store, exposures=self.exposures)
                refuse_sealed(custody.holds)
            except EvidenceError:
                raise
            except RetentiondError as error:
                warn(f"what is held, approved and stopped is not known: {error}")
                custody = None
            yield custody


def _with_holds(jobs: Iterable[Job], custody: Custody | None) -> Iterator[Job]:
    """The jobs with what is held; without one of which nobody can tell, as its report has said."""
    for job in jobs:
        try:
            yield job if custody is None else custody.holds.apply(job)
        except RetentiondError:
            continue


def ask(outcome: Outcome, zone: ZoneInfo) -> Consent:
    """Shows on the terminal what is due and asks once; the yes to it. Raises RefusedError where the answer is no."""
    if outcome.stopped:
        raise outcome.stopped
    if not any(report.due for report in outcome.reports):
        return NONE
    write_sheet(job_sheet(outcome.reports, zone, done=False), err=True)
    for line in (*remarks(outcome.reports), totals(outcome.reports)):
        click.echo(line, err=True)
    if not click.confirm("Carry this out now?", err=True):
        raise RefusedError("nothing was touched: the answer was no", code="not-confirmed")
    return consent_of_this_person({name_of(report): report.due or 0 for report in outcome.reports})


def write(outcome: Outcome, form: str, zone: ZoneInfo, extras: Extras = NO_EXTRAS) -> None:
    """Writes the outcome to stdout in the wanted form, and to stderr what stopped it."""
    if form == "json":
        jobs = [as_json(report, extras) for report in outcome.reports]
        requests = {} if outcome.requests is None else {"requests": list(outcome.requests)}
        write_document({"at": instant_text(outcome.at), "dry_run": outcome.dry_run, "jobs": jobs, **requests})
    elif form == "csv":
        click.echo(csv_text(outcome.reports), nl=False)
    else:
        write_sheet(job_sheet(outcome.reports, zone, done=not outcome.dry_run))
        for line in (*remarks(outcome.reports), *_extra_lines(outcome.reports, extras), totals(outcome.reports)):
            click.echo(line)
    if outcome.stopped:
        tell(outcome.stopped)


def _extra_lines(reports: Iterable[JobReport], extras: Extras) -> Iterable[str]:
    for report in reports:
        name = name_of(report)
        if name in extras.sample:
            keys = "; ".join(sample_text(key) for key in extras.sample[name]) or "none"
            yield f"{name}: keys of due rows: {keys}"
        if name in extras.sql:
            yield f"-- {name}"
            yield extras.sql[name]


def statements_of(jobs: Sequence[Job], at: datetime) -> dict[str, str]:
    """By job, the statement that finds its due rows."""
    from retentiond.engine.statements_text import predicate_text

    return {job.name: predicate_text(job, at) for job in jobs}


def sample_of(carrying: Carrying, outcome: Outcome, count: int) -> dict[str, Sequence[tuple[object, ...]]]:
    """By job that could be looked at, the keys of up to `count` due rows."""
    from retentiond.engine.sample import sample_keys

    fine = {name_of(report) for report in outcome.reports if not report.failed}
    return {
        job.name: sample_keys(job, carrying.sources, outcome.at, count)
        for job in carrying.looked_at
        if job.name in fine
    }


def warn_exposed(found: Iterable[Exposure]) -> None:
    """Warns of settings and policy files that others may change."""
    for exposure in found:
        warn(f"{exposure}; `retentiond run` refuses that")
