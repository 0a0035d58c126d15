"""`doctor`: what stands in the way, and what to do about it."""

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from retentiond.cli.failures import exit_code, worst
from retentiond.cli.output import colourful, counted, write_document
from retentiond.cli.program import Command, Options
from retentiond.errors import RetentiondError

if TYPE_CHECKING:
    from retentiond.engine.doctor import Diagnosis
    from retentiond.engine.finding import Finding

COLOURS = {"ok": "green", "info": "blue", "warning": "yellow", "error": "red"}
WIDTH = 9  # of the column of severities


@click.command("doctor", cls=Command)
@click.option("--grants", is_flag=True, help="Print the least grants of every rule, also where none is missing.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to write it.")
@click.pass_obj
def doctor_command(options: Options, *, grants: bool, form: str) -> int:
    """Check settings, rights, clocks and servers, and say what to do.

    Nothing is changed anywhere. The exit code is 0 where nothing stands in the way of a run; else what a run would end
    with.
    """
    diagnosis = _diagnosis(options)
    if form == "json":
        write_document(_as_json(diagnosis))
    else:
        for line in _lines(diagnosis, grants=grants):
            click.echo(line)
    return worst(exit_code(finding.kind("")) for finding in diagnosis.findings if finding.severity == "error")


def _diagnosis(options: Options) -> "Diagnosis":
    from retentiond.engine.doctor import Diagnosis, diagnose
    from retentiond.engine.finding import of_error
    from retentiond.settings import load_settings

    try:
        settings = load_settings(options.config)
    except RetentiondError as error:
        return Diagnosis((of_error(error, "settings"),), {})
    return diagnose(settings, os.environ, lambda: datetime.now(UTC))


def _lines(diagnosis: "Diagnosis", *, grants: bool) -> Iterator[str]:
    findings = diagnosis.findings
    for where in dict.fromkeys(finding.where for finding in findings):
        yield where
        for finding in findings:
            if finding.where == where:
                yield from _finding(finding)
    lacking = {finding.where for finding in findings if finding.code in ("missing-right", "superfluous-right")}
    for source, sections in diagnosis.grants.items():
        if sections and (grants or f"source {source}" in lacking):
            yield f"the least grants on source {source}"
            for section in sections:
                yield f"  -- {section.rule or 'to see the tables as they are'}"
                yield from (f"  {statement};" for statement in section.statements)
    yield _total(findings)


def _finding(finding: "Finding") -> Iterator[str]:
    word = finding.severity.ljust(WIDTH)
    if colourful(sys.stdout):
        word = click.style(word, fg=COLOURS[finding.severity])
    first, *rest = finding.message.splitlines()  # settings may have several problems
    yield f"  {word}{finding.code}: {first}"
    yield from (f"  {' ' * WIDTH}{line}" for line in (*rest, *finding.remedy.splitlines()))


def _total(findings: "Sequence[Finding]") -> str:
    errors, warnings = (sum(one.severity == name for one in findings) for name in ("error", "warning"))
    if not errors and not warnings:
        return "all is well"
    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"


def _as_json(diagnosis: "Diagnosis") -> dict[str, object]:
    return {
        "findings": [finding.as_json() for finding in diagnosis.findings],
        "grants": {
            source: [{"rule": section.rule or None, "statements": list(section.statements)} for section in sections]
            for source, sections in diagnosis.grants.items()
        },
    }
