"""`hold`: legal holds placed, listed and released. Ids are read from files alone, and never printed."""

from typing import IO

import click

from retentiond.cli.program import CommandGroup, Options

KINDS = ("proceedings", "legal-obligation", "restriction", "authority")
_FILE = click.File("rb", lazy=False)


@click.group("hold", cls=CommandGroup)
def hold_command() -> None:
    """Place, list and release legal holds.

    A hold keeps a person's rows, a record's or a source's from being destroyed. It counts for every rule, request
    and cascade, in all databases of the policy, until it is released.
    """


@hold_command.command("add")
@click.option("--policy", metavar="P", help="The policy; may be left out where one policy has the type of subject.")
@click.option(
    "--subject", metavar="TYPE", help="Hold persons of this type, all that belongs to them, and what goes with it."
)
@click.option(
    "--id-file", type=_FILE, metavar="F", help="Their ids, one per line; - for stdin. They are stored sealed."
)
@click.option("--record", metavar="POLICY/RECORD", help="Hold the rows of a record.")
@click.option(
    "--keys-file", type=_FILE, metavar="F", help="Only these rows: one key per line, its parts separated by commas."
)
@click.option("--source", metavar="S", help="Hold every row of a source.")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="Why.")
@click.option("--matter", metavar="REF", required=True, help="The reference of the case; it is printed by `hold list`.")
@click.option(
    "--review", metavar="DATE", required=True, help="The day on which somebody looks at it again (2027-06-30)."
)
@click.pass_obj
def add_command(
    options: Options, /, *, id_file: IO[bytes] | None, keys_file: IO[bytes] | None, **given: str | None
) -> int:
    """Place a hold and print its id.

    When it returns with 0 nothing under the hold is ever destroyed again. What went before is told on stderr.
    """
    from retentiond.cli.hold_placing import Order, place
    from retentiond.settings import load_settings

    order = Order(id_file=_name(id_file), keys_file=_name(keys_file), **given)  # type: ignore[arg-type]  # click knows
    file = id_file or keys_file
    return place(load_settings(options.config), order, None if file is None else file.read)


@hold_command.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that were released, too.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to write it.")
@click.pass_obj
def list_command(options: Options, form: str, *, everything: bool) -> None:
    """Show the holds: why, on what, and when somebody looks at them again.

    How many rows they keep is in `plan`.
    """
    from retentiond.cli.hold_views import as_json, hold_sheet
    from retentiond.cli.moments import now
    from retentiond.cli.output import write_document, write_sheet
    from retentiond.settings import load_settings
    from retentiond.state.store import open_store

    settings = load_settings(options.config)
    with open_store(settings.state.connection_url(), create=False) as store:
        holds = [hold for hold in store.holds.all() if everything or hold.released_at is None]
    today = now().astimezone(settings.timezone).date()
    if form == "json":
        write_document({"holds": [as_json(hold, today) for hold in holds]})
    elif holds:
        write_sheet(hold_sheet(holds, today, settings.timezone, released=everything))
    else:
        click.echo("nothing is held")


@hold_command.command("release")
@click.argument("hold", metavar="ID")
@click.pass_obj
def release_command(options: Options, hold: str) -> int:
    """Release a hold: the next run takes what is due.

    Where the settings want four eyes, two people who logged in as themselves have to say so.
    """
    from retentiond.cli.failures import FINE, REFUSED
    from retentiond.engine.custody import utc_now
    from retentiond.engine.people import this_person
    from retentiond.settings import load_settings
    from retentiond.state.store import open_store

    settings = load_settings(options.config)
    url, four_eyes = settings.state.connection_url(), settings.approval.four_eyes
    with open_store(url, create=True, keys=settings.ledger.keys) as store:
        released = store.holds.release(hold, by=this_person(), now=utc_now(), four_eyes=four_eyes)
    click.echo(f"released: {hold}" if released else f"held until a second person releases it, too: {hold}")
    return FINE if released else REFUSED


def _name(file: IO[bytes] | None) -> str | None:
    """The file as messages call it."""
    if file is None:
        return None
    return "standard input" if file.name in ("-", "<stdin>", 0) else str(file.name)
