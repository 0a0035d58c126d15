"""`explain`: one row, and all that bears on it."""

import sys

import click

from retentiond.cli.output import write_document
from retentiond.cli.program import Command, Options
from retentiond.errors import UsageError


@click.command("explain", cls=Command)
@click.argument("record", metavar="POLICY/RECORD")
@click.argument("key")
@click.option("--at", metavar="WHEN", help="As at that instant (ISO 8601) or start of a day. Default: now.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to write it.")
@click.pass_obj
def explain_command(options: Options, record: str, key: str, at: str | None, form: str) -> None:
    """Say what will happen to one row, when, and why.

    KEY is the row's primary key, its parts separated by commas; `-` reads it from stdin, where no process list shows
    it. Of the row only dates of clocks and counts are printed.
    """
    from retentiond.cli.explain_views import lines, row_as_json
    from retentiond.cli.hold_reading import reading_book
    from retentiond.cli.moments import instant
    from retentiond.engine.report import instant_text
    from retentiond.engine.sources import Sources
    from retentiond.engine.workspace import open_workspace
    from retentiond.reports.explain import explain
    from retentiond.settings import load_settings

    policy, slash, name = record.partition("/")
    if not slash or not policy or not name:
        raise UsageError("POLICY/RECORD names a policy and one of its records", hint="sparkcentral/customer")
    if key == "-":
        key = sys.stdin.readline().rstrip("\r\n")
    settings = load_settings(options.config)
    moment = instant(at, settings.timezone)
    with Sources(settings) as sources:
        workspace = open_workspace(settings, sources)
        with reading_book(settings, workspace, sources) as book:
            rows = explain(workspace, sources, policy, name, key, moment, book)
    if form == "json":
        found = [row_as_json(row) for row in rows]
        write_document({"policy": policy, "record": name, "at": instant_text(moment), "rows": found})
        return
    for number, row in enumerate(rows):
        for line in (*([""] if number else []), *lines(row, settings.timezone)):
            click.echo(line)
