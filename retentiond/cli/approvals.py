"""`approve`, `stop` and `resume`: what people allow, and take back."""

import click

from retentiond.cli.program import Command, Options

EVERYTHING = "*"


@click.command("approve", cls=Command)
@click.argument("rule", metavar="RULE")
@click.option("--withdraw", "withdrawn", is_flag=True, help="Take back what was approved of these rules.")
@click.pass_obj
def approve_command(options: Options, rule: str, *, withdrawn: bool) -> int:
    """Release a new or changed rule, or a tripped guard.

    RULE is policy/rule, or a glob of it. What is due now is counted and shown, and the approval is over exactly that.
    On a terminal it asks before it is given.
    """
    from retentiond.cli.approving import approve
    from retentiond.cli.revoking import withdraw
    from retentiond.settings import load_settings

    settings = load_settings(options.config)
    return withdraw(settings, rule) if withdrawn else approve(settings, rule)


@click.command("stop", cls=Command)
@click.argument("rule", metavar="[RULE]", default=EVERYTHING)
@click.pass_obj
def stop_command(options: Options, rule: str) -> None:
    """Stop rules before their next commit, until `resume`.

    RULE is policy/rule, or a glob of it; without, everything stops. It works whatever is wrong with sources and
    policies, and survives every restart.
    """
    from retentiond.cli.revoking import stop
    from retentiond.settings import load_settings

    stop(load_settings(options.config), rule)


@click.command("resume", cls=Command)
@click.argument("rule", metavar="[RULE]", default=EVERYTHING)
@click.pass_obj
def resume_command(options: Options, rule: str) -> None:
    """Let go on what `stop` stopped.

    RULE is what `stop` was given, or a glob of that; without, everything goes on.
    """
    from retentiond.cli.revoking import resume
    from retentiond.settings import load_settings

    resume(load_settings(options.config), rule)
