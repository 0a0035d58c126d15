"""`settings`: what is in force and who said so."""

import click

from retentiond.cli.output import Column, Sheet, write_document, write_sheet
from retentiond.cli.program import Command, Options


@click.command("settings", cls=Command)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to write it.")
@click.pass_obj
def settings_command(options: Options, form: str) -> None:
    """Show the settings in force and where each came from.

    Secrets are hidden.
    """
    from retentiond.settings import load_settings, settings_in_force

    settings = load_settings(options.config)
    rows = settings_in_force(settings)
    if form == "json":
        listed = [{"key": key, "value": value, "origin": origin} for key, value, origin in rows]
        write_document({"file": str(settings.file) if settings.file else None, "settings": listed})
    else:
        write_sheet(Sheet((Column("setting"), Column("value"), Column("from")), tuple(rows)))
