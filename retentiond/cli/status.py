"""`status`: what is remembered of every job."""

import click

from retentiond.cli.program import Command, Options


@click.command("status", cls=Command)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to write it.")
@click.pass_obj
def status_command(options: Options, form: str) -> None:
    """Show the last run of every job, and what is stopped or held."""
    from retentiond.cli.output import write_document, write_sheet
    from retentiond.cli.status_views import document, lines, sheet, standing_of
    from retentiond.settings import load_settings
    from retentiond.state.store import open_store

    settings = load_settings(options.config)
    with open_store(settings.state.connection_url(), create=False) as store:
        standing = standing_of(settings, store)
    if form == "json":
        write_document(document(standing))
        return
    if standing.jobs:
        write_sheet(sheet(standing, settings.timezone))
    else:
        click.echo("nothing has run yet")
    for line in lines(standing, settings.timezone):
        click.echo(line)
