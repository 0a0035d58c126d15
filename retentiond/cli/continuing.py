"""`ledger continue`: goes on after the state store was lost or restored from a back-up."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retentiond.cli.program import Command, Options

if TYPE_CHECKING:
    from retentiond.cli.carrying import Carrying
    from retentiond.engine.custody import Custody
    from retentiond.state.continuation import Gap

_SHOWN = 5  # jobs whose fence is ahead

_WARNING = (
    "Legal holds, requests and stops that were entered since are not known any more: enter them again first. "
    "Every approval is void. What was destroyed since is in no ledger that goes on; the last checkpoint of the old one "
    "stays."
)


@click.command("continue", cls=Command)
@click.option("--yes", is_flag=True, help="Do not ask: what is missing was entered again.")
@click.pass_obj
def continue_command(options: Options, *, yes: bool) -> None:
    """Go on after the state store was lost or restored from a back-up.

    The ledger that was lost cannot be had back, and its name must not sign another one: from here on the ledger signs
    under a new name, and its first entry says what it does not know. Put the newest back-up back before you do this.
    """
    from retentiond.cli.carrying import Carrying
    from retentiond.engine.consent import NONE
    from retentiond.engine.people import login_name
    from retentiond.errors import RefusedError, UsageError
    from retentiond.settings import load_settings
    from retentiond.state.continuation import continue_anew

    settings = load_settings(options.config)
    with Carrying(settings, (), None) as carrying, carrying.custody(NONE, outdated=True) as custody:
        reasons, gaps = _reasons(carrying, custody)
        if not reasons:
            raise UsageError("the ledger knows all that the sources and its copy know", hint="nothing was changed")
        for line in (*reasons, _WARNING):
            click.echo(line, err=True)
        if not yes and not (sys.stdin.isatty() and click.confirm("Go on from here?", err=True)):
            raise RefusedError("nothing was changed", hint="--yes says that what is missing was entered again")
        folder, file = custody.sources.keys_folder, Path(settings.state.connection_url().database or "")
        with custody.store.gate.exclusive(10):
            state_id = continue_anew(custody.store, folder, file.name, gaps, login_name(), custody.now())
        custody.checkpoint()
    click.echo(f"the ledger goes on as retentiond/{state_id}")


def _reasons(carrying: "Carrying", custody: "Custody") -> tuple[list[str], Sequence["Gap"]]:
    """Why the state store is behind, in words, and the jobs of which a source knows more."""
    from retentiond.engine.standing import gaps
    from retentiond.errors import RefusedError

    reasons = []
    try:
        custody.refuse_restored()
    except RefusedError as error:
        reasons.append(error.message)
    found = gaps(carrying.ready, custody)
    reasons += [
        f"{gap.source} stands at {gap.found} for {gap.job}, the ledger at {gap.known}" for gap in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        reasons.append(f"… and so do {len(found) - _SHOWN} more; the ledger's first entry will name them all")
    if custody.store.outdated:
        reasons.append("the state store is of before the last `ledger continue`")
    return reasons, found
