"""`demo`: five companies' databases to try everything on, and a tour of what happens to them."""

from pathlib import Path

import click

from retentiond.cli.failures import FINE
from retentiond.cli.output import counted
from retentiond.cli.program import Command
from retentiond.errors import UsageError


@click.command("demo", cls=Command)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("retentiond-demo"),
    show_default=True,
    help="Where to make it; a demo that is there already is replaced.",
)
@click.option(
    "--rows", type=click.IntRange(1), default=1000, show_default=True, metavar="N", help="Rows per company, about."
)
@click.option("--serve", is_flag=True, help="Keep the demo running as a service (comes with the daemon).")
@click.option("--tour", is_flag=True, help="Validate, dry-run and enforce the five policies, and show what went.")
def demo_command(directory: Path, rows: int, *, serve: bool, tour: bool) -> int:
    """Make sample databases and settings to try the rest on.

    They are the databases (SQLite) of five companies with published privacy policies, about N rows each, none of them
    real. With --tour the policies are enforced at once; the exit code is 0 only where nothing is left due.
    """
    if serve:
        raise UsageError("--serve comes with the daemon, which this version does not have yet", code="not-yet")
    from retentiond.cli.moments import now
    from retentiond.demo.build import build_demo

    layout = build_demo(directory, rows, now())
    made = sum(source.rows for source in layout.sources.values())
    click.echo(
        f"{counted(made, 'row')} in {counted(len(layout.sources), 'database')} of five companies: {layout.directory}"
    )
    if tour:
        from retentiond.cli.tour import show_around

        return show_around(layout.settings)
    _invite(layout.settings)
    return FINE


def _invite(settings: Path) -> None:
    click.echo("\nTry, in this order:\n")
    for words, what in (
        ("validate", "the policies against the grammar and the databases"),
        ("test", "the policies' own test cases"),
        ("plan", "what would go today"),
        ("plan 'sparkcentral/*' --sql", "and by which statements"),
        ("explain sparkcentral/customer 1", "one row: every clock, and which clause says so"),
        ("run --yes", "delete and anonymise what is due"),
        ("status", "what was done"),
    ):
        click.echo(f"  retentiond --config {settings} {words}    # {what}")
