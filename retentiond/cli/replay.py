"""`replay`: after a back-up was restored, destroys again what the ledger says was destroyed."""

import sys

import click

from retentiond.cli.program import Command, Options


@click.command("replay", cls=Command)
@click.argument("source")
@click.option("--list", "only_list", is_flag=True, help="Show what came back, and stop there.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to write it.")
@click.pass_obj
def replay_command(options: Options, source: str, *, only_list: bool, yes: bool, form: str) -> int:
    """Destroy again what a restored back-up brought back.

    After SOURCE was restored, that is what the ledger says was destroyed and is there again. Lists what came back;
    on a terminal it asks before anything goes. Each row is asked again whether it is due: one that is held, kept by
    a law or not over any more stays.
    """
    from retentiond.cli.carrying import Carrying
    from retentiond.cli.moments import now
    from retentiond.cli.replaying import ask, listed, outcome, write_list
    from retentiond.engine.consent import consent_of_this_person
    from retentiond.engine.replay_run import mend, unknown_jobs
    from retentiond.settings import load_settings

    settings = load_settings(options.config)
    settings.source(source)
    with Carrying(settings, (), None) as carrying, carrying.custody(consent_of_this_person()) as custody:
        found = listed(carrying.ready, source, custody)
        left = unknown_jobs(carrying.ready, source, custody)
        if only_list:
            return write_list(found, left, source, form)
        if found and not yes and sys.stdin.isatty() and sys.stderr.isatty():
            ask(found, left, source)
        mend(source, custody)
        if not found:
            return write_list(found, left, source, form)
        return outcome(found, left, custody, now(), form, settings.timezone)
