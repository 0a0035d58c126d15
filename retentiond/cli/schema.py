"""`schema`: what editors need to know of a policy file."""

import click

from retentiond.cli.output import write_document
from retentiond.cli.program import Command


@click.command("schema", cls=Command)
def schema_command() -> None:
    """Print the JSON Schema of a policy file, for editors."""
    from retentiond.policy.json_schema import json_schema

    write_document(json_schema())
