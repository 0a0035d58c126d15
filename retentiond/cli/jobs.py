"""`plan` and `run`: the same jobs, looked at or carried out."""

import sys
from dataclasses import dataclass

import click

from retentiond.cli.program import Command, Options

FORMATS = click.Choice(["table", "json", "csv"])
AT = "An instant (ISO 8601), or a date: the start of that day in the settings' time zone. Default: now."


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for on the command line."""

    rules: tuple[str, ...]
    source: str | None
    at: str | None
    form: str
    sql: bool = False
    sample: int | None = None
    estimate: bool = False
    exit_code: bool = False
    yes: bool = False


@click.command("plan", cls=Command)
@click.argument("rules", metavar="[RULE]...", nargs=-1)
@click.option("--at", metavar="WHEN", help=AT)
@click.option("--source", metavar="S", help="Only jobs on this source.")
@click.option("--sql", is_flag=True, help="Show the statement that finds the due rows of each job.")
@click.option("--sample", type=click.IntRange(1, 10_000), metavar="N", help="Show the keys of up to N due rows.")
@click.option("--estimate", is_flag=True, help="Take counts from the planner's statistics instead of counting.")
@click.option("--format", "form", type=FORMATS, default="table", help="How to write it.")
@click.option("--exit-code", is_flag=True, help="Exit with 10 where anything is due.")
@click.pass_obj
def plan_command(options: Options, /, **given: object) -> int:
    """Show what would go, without writing anything anywhere.

    RULE is policy/rule, or a glob of it; without, all. Counts are exact: a run of a job alone does what is counted.
    """
    return _look(options, Order(**given))  # type: ignore[arg-type]  # click has checked each of them


@click.command("run", cls=Command)
@click.argument("rules", metavar="[RULE]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Show what would go, and stop there: the same as `plan`.")
@click.option("--source", metavar="S", help="Only jobs on this source.")
@click.option("--at", metavar="WHEN", help=f"{AT} It may not lie in the future.")
@click.option("--yes", is_flag=True, help="Do not ask, and approve exactly what is due now.")
@click.option("--format", "form", type=FORMATS, default="table", help="How to write it.")
@click.pass_obj
def run_command(options: Options, /, *, dry_run: bool, **given: object) -> int:
    """Delete and anonymise what is due, once.

    RULE is policy/rule, or a glob of it; without, all. On a terminal it shows what is due and asks once, unless --yes.
    Elsewhere it asks nobody: what was not approved stays, and the exit code is 3.
    """
    order = Order(**given)  # type: ignore[arg-type]  # click has checked each of them
    return _look(options, order) if dry_run else _do(options, order)


def _look(options: Options, order: Order) -> int:
    from retentiond.cli.carrying import Carrying, sample_of, statements_of, warn_exposed, write
    from retentiond.cli.job_views import Extras
    from retentiond.cli.moments import instant
    from retentiond.settings import load_settings

    settings = load_settings(options.config)
    at = instant(order.at, settings.timezone)
    with Carrying(settings, order.rules, order.source) as carrying:
        warn_exposed(carrying.exposures)
        outcome = carrying.look(at, estimate=order.estimate)
        sql = statements_of(carrying.ready, at) if order.sql else {}
        sample = sample_of(carrying, outcome, order.sample) if order.sample else {}
        write(outcome, order.form, settings.timezone, Extras(sql, sample))
    return outcome.exit_code(due_counts=order.exit_code)


def _do(options: Options, order: Order) -> int:
    from retentiond.cli.carrying import Carrying, ask, write
    from retentiond.cli.moments import past_instant
    from retentiond.engine.consent import NONE, consent_of_this_person
    from retentiond.engine.policy_files import refuse_exposed
    from retentiond.settings import load_settings

    settings = load_settings(options.config)
    at = past_instant(order.at, settings.timezone)
    with Carrying(settings, order.rules, order.source) as carrying:
        refuse_exposed(carrying.exposures)
        consent = consent_of_this_person() if order.yes else NONE
        if not order.yes and sys.stdin.isatty() and sys.stderr.isatty():
            consent = ask(carrying.look(at), settings.timezone)
        outcome = carrying.do(at, consent)
        write(outcome, order.form, settings.timezone)
    return outcome.exit_code()
