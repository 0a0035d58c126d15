"""How job reports look: a table for people, CSV, and what the documents hold."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from retentiond.cli.moments import shown
from retentiond.cli.output import Column, Sheet, counted
from retentiond.engine.report import JobReport, instant_text

_COUNTS = (
    ("due", "due"),
    ("held", "held"),
    ("floored", "floored"),
    ("not started", "not_started"),
    ("suspect", "suspect"),
    ("total", "total"),
)
_MOST_ALONE = 3  # jobs that wait for the same and are told one by one
_MOST_NAMED = 10
CSV_FIELDS = (
    *("at", "dry_run", "policy", "rule", "source", "record", "table", "action", "cutoff", "cutoffs"),
    *("due", "held", "floored", "not_started", "suspect", "total", "oldest_due", "counted_at", "estimated"),
    *("cascade", "guard", "guard_message", "approval", "done", "set_aside", "failed", "seconds"),
)


@dataclass(frozen=True, slots=True)
class Extras:
    """What `plan` adds on request, by job as `policy/rule@source`: the statement, and keys of due rows."""

    sql: Mapping[str, str]
    sample: Mapping[str, Sequence[tuple[object, ...]]]


def name_of(report: JobReport) -> str:
    """`policy/rule@source`."""
    return f"{report.name}@{report.source}"


def job_sheet(reports: Sequence[JobReport], zone: ZoneInfo, *, done: bool) -> Sheet:
    """The jobs as a table; with `done` what was carried out stands beside what was due."""
    columns = [Column("rule"), Column("source"), Column("action")]
    columns += [Column(title, number=True) for title, _ in _COUNTS]
    columns += [Column("oldest due"), *([Column("done", number=True)] if done else [])]
    return Sheet(tuple(columns), tuple(_row(report, zone, done=done) for report in reports))


def _row(report: JobReport, zone: ZoneInfo, *, done: bool) -> tuple[str, ...]:
    counts = [getattr(report, name) for _, name in _COUNTS]
    cells = [f"~{count:,}" if report.estimated and count is not None else counted(count) for count in counts]
    last = [counted(report.done)] if done else []
    return (report.name, report.source, report.action, *cells, shown(report.oldest_due, zone), *last)


def remarks(reports: Sequence[JobReport]) -> list[str]:
    """A line for each job that takes other rows along, failed, or waits for a person."""
    lines = []
    for report in reports:
        near = f"{report.source}."
        beside = [
            f"{counted(count)} of {table.removeprefix(near)}"
            for table, count in sorted(report.cascade.items())
            if count
        ]
        if beside:
            lines.append(f"{name_of(report)}: with it {'go' if report.dry_run else 'went'} {', '.join(beside)}")
        if report.set_aside:
            lines.append(f"{name_of(report)}: {counted(report.set_aside, 'row')} set aside: the database refused them")
        if report.failed:
            lines.append(f"{name_of(report)}: failed: {report.failed.code}: {report.failed.message}")
    return lines + _permissions(reports)


def _permissions(reports: Sequence[JobReport]) -> list[str]:
    """What guards and missing approvals say: job by job, but many that wait for the same in one line."""
    lines = []
    waiting: dict[str, list[JobReport]] = {}
    for report in reports:
        if report.approval == "missing":
            waiting.setdefault(report.guard_message.partition(";")[0], []).append(report)
        elif report.guard != "ok":
            lines.append(f"{name_of(report)}: {_stopped(report)}{_why(report)}")
    for reason, group in waiting.items():
        if len(group) <= _MOST_ALONE:
            lines += [f"{name_of(report)}: {_stopped(report)}{_why(report)}" for report in group]
            continue
        names = [name_of(report) for report in group]
        names = names if len(names) <= _MOST_NAMED else [*names[:_MOST_NAMED], f"and {len(names) - _MOST_NAMED} more"]
        what = f"{counted(len(group), 'job')} wait for approval (`retentiond approve`)"
        lines.append(f"{what}: {reason}: {', '.join(names)}")
    return lines


def _stopped(report: JobReport) -> str:
    words = (
        [f"{'would be ' if report.dry_run else ''}stopped by the guard {report.guard}"] if report.guard != "ok" else []
    )
    return ", ".join([*words, *(["waits for approval"] if report.approval == "missing" else [])])


def _why(report: JobReport) -> str:
    return f": {report.guard_message}" if report.guard_message else ""


def totals(reports: Sequence[JobReport]) -> str:
    """One line about all jobs."""
    dry = all(report.dry_run for report in reports)
    beside = sum(sum(report.cascade.values()) for report in reports)
    failed = sum(report.failed is not None for report in reports)
    kept = [f"{counted(_sum(reports, name))} {title}" for title, name in _COUNTS[1:5] if _sum(reports, name)]
    parts = [f"{counted(len(reports), 'job')}: {counted(_sum(reports, 'due'), 'row')} due"]
    if not dry:
        parts.append(_done(reports))
    if beside:
        parts.append(f"{counted(beside, 'row')} {'with them' if dry else 'went with them'}")
    if kept:
        parts.append(f"kept: {', '.join(kept)}")
    if failed:
        parts.append(f"{counted(failed, 'job')} failed")
    return f"{'; '.join(parts)}.{' Nothing was written.' if dry else ''}"


def _done(reports: Sequence[JobReport]) -> str:
    deleted = sum(report.done for report in reports if report.action == "delete")
    masked = sum(report.done for report in reports if report.action != "delete")
    return f"{counted(deleted)} deleted" + (f", {counted(masked)} masked" if masked else "")


def _sum(reports: Sequence[JobReport], name: str) -> int:
    return sum(getattr(report, name) or 0 for report in reports)


def sample_text(key: Sequence[object]) -> str:
    """A key as `explain` takes it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(key)
    return line.getvalue() if len(key) > 1 else str(key[0])


def as_json(report: JobReport, extras: Extras) -> dict[str, object]:
    """A job of the document, with what was asked for beside the contract's fields."""
    document = report.as_json()
    name = name_of(report)
    if name in extras.sql:
        document["sql"] = extras.sql[name]
    if name in extras.sample:
        document["sample"] = [list(key) for key in extras.sample[name]]
    return document


def csv_text(reports: Sequence[JobReport]) -> str:
    """One header and a line per job; several values in one cell are separated by semicolons."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    for report in reports:
        row = report.as_json()
        row["at"], row["dry_run"] = instant_text(report.at), report.dry_run
        row["cutoffs"] = ";".join(f"{cutoff.clock}={cutoff.cutoff}" for cutoff in report.cutoffs)
        row["cascade"] = ";".join(f"{table}={count}" for table, count in sorted(report.cascade.items()))
        row["failed"] = report.failed.code if report.failed else None
        writer.writerow({field: _cell(row[field]) for field in CSV_FIELDS})
    return text.getvalue()


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
