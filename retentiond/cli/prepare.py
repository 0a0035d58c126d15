"""`prepare`: what a source needs of ours is made or printed; the least grants of every rule are printed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retentiond.cli.failures import FINE, exit_code, tell
from retentiond.cli.output import warn, write_document
from retentiond.cli.program import Command, Options
from retentiond.errors import RetentiondError

if TYPE_CHECKING:
    from retentiond.engine.preparation import Prepared

SEES = {
    False: "to see the tables as they are; less will do where an administrator has shown them: --admin-url-file",
    True: "to see the tables as they are; foreign keys and triggers an administrator has shown",
}
FENCE = {
    "made": "the fence is there now, and its role may use it",
    "there": "the fence is there, and its role may use it",
    "to make": "the fence",
    "not needed": "no fence is needed: the source is probed",
}


@click.command("prepare", cls=Command)
@click.argument("source", metavar="SOURCE")
@click.option("--print", "only_print", is_flag=True, help="Change nothing; print the SQL of the fence table too.")
@click.option(
    "--admin-url-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A file that holds the URL of an administrator; nobody else may read it.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to write it.")
@click.pass_obj
def prepare_command(options: Options, source: str, *, only_print: bool, admin_url_file: Path | None, form: str) -> int:
    """Make what a source needs; print the least grants of every rule.

    SOURCE is one of the settings. Its fence table is made, and its role may use it; the grants on your own tables are
    printed as SQL, for an administrator to look at and paste. Nothing is ever granted on them by itself.
    """
    from retentiond.engine.preparation import prepare
    from retentiond.settings import load_settings
    from retentiond.settings.address import parse_url, read_secret

    settings = load_settings(options.config)
    administrator = None
    if admin_url_file is not None:
        administrator = parse_url(read_secret(admin_url_file), admin_url_file.parent)
    prepared = prepare(settings, source, administrator, act=not only_print, now=datetime.now(UTC))
    if form == "json":
        write_document(_as_json(prepared))
    else:
        for line in _lines(prepared):
            click.echo(line)
    if not prepared.certain:
        warn(f"the role of {source} could not be asked for its name: check it in the statements")
    if prepared.problem is None:
        return FINE
    warn("the grants of the rules cannot be told; an administrator's URL in --admin-url-file may help")
    tell(prepared.problem)
    return exit_code(prepared.problem)


def _lines(prepared: "Prepared") -> Iterator[str]:
    """SQL that can be pasted; all else in it is comments."""
    yield f"-- source {prepared.source}, {prepared.dialect}{f', role {prepared.role}' if prepared.role else ''}"
    if prepared.dialect in ("mariadb", "mysql"):
        yield f"USE `{prepared.database.replace('`', '``')}`;"
    yield f"-- {FENCE[prepared.fence]}"
    if prepared.fence == "to make":
        yield from (f"{statement};" for statement in prepared.statements)
    for section in prepared.sections:
        yield f"-- {section.rule or SEES[prepared.recorded]}"
        yield from (f"{statement};" for statement in section.statements)
    for rule, why in prepared.needs.unknown:
        yield f"-- {rule}: cannot be told now: {' '.join(why.split())}"


def _as_json(prepared: "Prepared") -> dict[str, object]:
    return {
        "source": prepared.source,
        "dialect": prepared.dialect,
        "role": prepared.role or None,
        "fence": prepared.fence,
        "fence_statements": list(prepared.statements) if prepared.fence == "to make" else [],
        "recorded": prepared.recorded,
        "grants": [
            {"rule": section.rule or None, "statements": list(section.statements)} for section in prepared.sections
        ],
        "unknown": [{"job": job, "message": why} for job, why in prepared.needs.unknown],
        "problem": None if prepared.problem is None else _problem(prepared.problem),
    }


def _problem(error: RetentiondError) -> dict[str, str]:
    return {"code": error.code or "error", "message": error.message, "hint": error.hint}
