"""`test`: the policies' own test cases."""

from collections.abc import Sequence
from pathlib import Path

import click

from retentiond.cli.failures import FAILED, FINE
from retentiond.cli.output import write_document
from retentiond.cli.program import Command, Options
from retentiond.errors import UsageError

SUFFIXES = (".yaml", ".yml")


@click.command("test", cls=Command)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to write it.")
@click.pass_obj
def test_command(options: Options, files: tuple[Path, ...], form: str) -> int:
    """Run the policies' own test cases.

    A case is a row, a date and what must happen. FILE is a file of cases or a folder of
    them; without, the `tests` folders beside the policies of the settings. No
    database is asked. Exit code 1 where a case fails, 2 where a file is wrong.
    """
    from retentiond.cli.case_views import result_as_json, write_results
    from retentiond.policy.cases import run_cases

    zone = "UTC"
    if files:
        paths = [found for path in files for found in _files_in(path)]
    else:
        from retentiond.settings import load_settings

        settings = load_settings(options.config)
        zone = str(settings.timezone)
        paths = _beside(settings.policies)
    results = run_cases(paths, default_timezone=zone)
    failed = [result for result in results if not result.passed]
    if form == "json":
        write_document({"cases": [result_as_json(result) for result in results], "failed": len(failed)})
    else:
        write_results(results, failed, len(paths))
    return FAILED if failed else FINE


def _files_in(path: Path) -> list[Path]:
    """The files of cases in a folder, or the file itself, there or not."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    if not found:
        raise UsageError(f"{path}: the folder holds no file of test cases", hint="expected *.yaml", code="no-cases")
    return found


def _beside(policies: Sequence[Path]) -> list[Path]:
    folders = dict.fromkeys((path if path.is_dir() else path.parent) / "tests" for path in policies)
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        looked = ", ".join(str(folder) for folder in folders)
        raise UsageError(f"no test cases: there is no folder {looked}", code="no-cases")
    return [file for folder in there for file in _files_in(folder)]
