"""`validate`: every problem of every policy file at once, and what a person should look at."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from retentiond.cli.failures import exit_code, tell, worst
from retentiond.cli.output import counted, write_document
from retentiond.cli.program import Command, Options
from retentiond.errors import PolicyError, Problem, RetentiondError
from retentiond.policy.model import Policy

WORDS = {"policies": "policy", "rules": "rule", "promises": "promise"}


@click.command("validate", cls=Command)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Ask no database; with FILE, no settings are needed either.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to write it.")
@click.pass_obj
def validate_command(options: Options, files: tuple[Path, ...], *, offline: bool, form: str) -> int:
    """Check policy files against the grammar and the live schemas.

    FILE is a policy file or a folder of them; without, the policies of the settings. Warnings are printed and do no
    harm; with an error the exit code is 2.
    """
    try:
        policies, warnings, down = _examine(options.config, files, offline=offline)
    except RetentiondError as error:
        if form == "json":
            write_document({"problems": [_as_json(problem) for problem in _problems(error)], **_counts(())})
        else:
            tell(error)
        return exit_code(error)
    code = worst(map(exit_code, down))
    if form == "json":
        found = [*map(_as_json, down), *map(_as_json, warnings)]
        write_document({"problems": found, **_counts(policies)})
        return code
    for warning in warnings:
        click.echo(str(warning), err=True)
    for reason in down:
        tell(reason)
    sizes = (counted(number, WORDS[name]) for name, number in _counts(policies).items())
    words = [counted(len(warnings), "warning")] if warnings else []
    words += [f"{counted(len(down), 'source')} not checked"] if down else []
    click.echo(f"{', '.join(sizes)}: {', '.join(words) or 'fine'}")
    return code


def _examine(
    config: Path | None, files: Sequence[Path], *, offline: bool
) -> tuple[tuple[Policy, ...], list[Problem], list[RetentiondError]]:
    """The policies, the warnings about them, and why sources could not be looked at."""
    from retentiond.policy.findings import findings
    from retentiond.policy.loader import load_policies

    compiled: tuple[Problem, ...] = ()
    down: list[RetentiondError] = []
    if offline and files:
        policies = load_policies(files)
    else:
        from retentiond.settings import load_settings

        settings = load_settings(config)
        policies = load_policies(files or settings.policies, default_timezone=str(settings.timezone))
        if not offline:
            from retentiond.engine.rights_check import missing_rights
            from retentiond.engine.sources import Sources
            from retentiond.engine.workspace import compile_workspace

            with Sources(settings) as sources:
                workspace = compile_workspace(policies, sources)
                compiled = (*workspace.warnings, *missing_rights(workspace, sources))
                down = list(workspace.unreachable.values())
    today = datetime.now(UTC).date()
    found = [problem for policy in policies for problem in findings(policy, today)]
    return policies, sorted({*found, *compiled}), down


def _problems(error: RetentiondError) -> list[Problem | RetentiondError]:
    return list(error.problems) if isinstance(error, PolicyError) else [error]


def _as_json(problem: Problem | RetentiondError) -> dict[str, object]:
    if isinstance(problem, RetentiondError):
        place: dict[str, object] = {"file": None, "line": None, "column": None}
        severity = "error"
    else:
        position = problem.position
        place = {"file": position.file, "line": position.line, "column": position.column}
        severity = problem.severity
    return {
        **place,
        "code": problem.code or "error",
        "message": problem.message,
        "hint": problem.hint,
        "severity": severity,
    }


def _counts(policies: tuple[Policy, ...]) -> dict[str, int]:
    return {
        "policies": len(policies),
        "rules": sum(len(policy.rules) for policy in policies),
        "promises": sum(len(policy.promises) for policy in policies),
    }
