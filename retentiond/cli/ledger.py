"""`ledger`: the record of what was destroyed, verified and handed out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retentiond.cli.certificate import certificate_command
from retentiond.cli.continuing import continue_command
from retentiond.cli.output import counted, write_document
from retentiond.cli.program import CommandGroup, Options

if TYPE_CHECKING:
    from retentiond.settings import Settings
    from retentiond.state.ledger.note import VerifierKey
    from retentiond.state.ledger.verify import Verified
    from retentiond.state.store import Store

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("ledger", cls=CommandGroup)
def ledger_command() -> None:
    """Verify, export and certify the record of what was destroyed."""


ledger_command.add_command(certificate_command)
ledger_command.add_command(continue_command)


@ledger_command.command("verify")
@click.argument("export", required=False, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--public-key", type=_FILE, metavar="F", help="The `ledger.pub` to verify with; else that of the settings."
)
@click.option("--checkpoint", type=_FILE, metavar="COPY", help="A checkpoint kept elsewhere; else the settings' copy.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to write it.")
@click.pass_obj
def verify_command(
    options: Options, export: Path | None, public_key: Path | None, checkpoint: Path | None, form: str
) -> None:
    """Check that nothing in the record was changed.

    Nor removed, added or reordered. With EXPORT (`-` for stdin) and --public-key it needs neither settings nor a
    state store. With --checkpoint, a copy that was put away earlier, it is found too where the whole record was taken
    back to an older state.

    Exit code 4 where anything is wrong; the message names the first entry that is.
    """
    if export is not None:
        found = _verify_export(options, export, public_key, checkpoint)
    else:
        found = _verify_store(options, public_key, checkpoint)
    if form == "json":
        write_document(_as_json(found))
    else:
        for line in _as_text(found):
            click.echo(line)


@ledger_command.command("export")
@click.option("--format", "form", type=click.Choice(["jsonl"]), default="jsonl", help="How to write it.")
@click.pass_obj
def export_command(options: Options, form: str) -> None:  # noqa: ARG001 - there is one form so far
    """Write the record to stdout, oldest entry first.

    One JSON object per line, byte for byte as it was signed, and behind them the checkpoint that signs them:
    `retentiond ledger verify` reads it anywhere.
    """
    from retentiond.settings import load_settings

    with signed_store(load_settings(options.config)) as store:
        for line in store.ledger.export():
            click.echo(line, nl=False)


@ledger_command.command("rotate")
@click.pass_obj
def rotate_command(options: Options) -> None:
    """Make a new key for signatures and print its id.

    The checkpoint of today is signed with both keys; older ones stay valid, `ledger.pub` keeps every public key.
    """
    from retentiond.engine.custody import utc_now
    from retentiond.settings import load_settings
    from retentiond.state.keys import KeyRing
    from retentiond.state.store import open_store

    settings = load_settings(options.config)
    folder = keys_folder(settings)
    with open_store(settings.state.connection_url(), create=True, keys=folder) as store:
        ring = KeyRing(folder, store.keys, utc_now)
        store.ledger.check_copy(ring, settings.ledger.checkpoint_copy)
        key = ring.rotate_signer(utc_now())
        store.ledger.checkpoint(ring, settings.ledger.checkpoint_copy, utc_now())
    click.echo(key)


def keys_folder(settings: "Settings") -> Path:
    """The folder of the keys, or a UsageError."""
    from retentiond.errors import UsageError

    if settings.ledger.keys is None:
        raise UsageError("no folder for keys", hint="set `keys` under [ledger]", code="no-keys")
    return settings.ledger.keys


@contextmanager
def signed_store(settings: "Settings") -> Iterator["Store"]:
    """The store with all of its ledger signed: as it is where nothing is left to sign, else opened to write."""
    from retentiond.engine.custody import utc_now
    from retentiond.errors import UsageError
    from retentiond.state.keys import KeyRing
    from retentiond.state.store import open_store

    url, folder = settings.state.connection_url(), keys_folder(settings)
    with open_store(url, create=False) as store:
        if not store.exists:
            raise UsageError("nothing was recorded yet", code="no-ledger")
        if store.ledger.is_signed():
            yield store
            return
    with open_store(url, create=True, keys=folder) as store:
        store.ledger.checkpoint(KeyRing(folder, store.keys, utc_now), settings.ledger.checkpoint_copy, utc_now())
        yield store


def _verify_export(options: Options, export: Path, public_key: Path | None, checkpoint: Path | None) -> "Verified":
    from retentiond.errors import UsageError
    from retentiond.settings import load_settings
    from retentiond.state.keys import PUBLIC_FILE, read_verifiers
    from retentiond.state.ledger.verify import verify_export

    if public_key is None:
        public_key = keys_folder(load_settings(options.config)) / PUBLIC_FILE
    known = read_verifiers(public_key)
    copy = None if checkpoint is None else _note(checkpoint)
    if str(export) == "-":
        return verify_export(sys.stdin.buffer, known, copy)
    try:
        with export.open("rb") as lines:
            return verify_export(lines, known, copy)
    except OSError as error:
        raise UsageError(f"{export} cannot be read: {error.strerror}", code="unreadable") from None


def _verify_store(options: Options, public_key: Path | None, checkpoint: Path | None) -> "Verified":
    from retentiond.errors import EvidenceError
    from retentiond.settings import load_settings
    from retentiond.state.keys import KeyRing, read_verifiers, state_identities
    from retentiond.state.ledger.signing import ROLLED_BACK, Copy
    from retentiond.state.store import open_store

    settings = load_settings(options.config)
    url, folder = settings.state.connection_url(), keys_folder(settings)
    with open_store(url, create=False) as store:
        known = KeyRing(folder, store.keys).verifiers() if public_key is None else read_verifiers(public_key)
        kept = state_identities(folder, Path(url.database or "").name)
        identity = kept[-1] if kept else store.identity
        copy = None if checkpoint is None else _note(checkpoint)
        if copy is None and identity and settings.ledger.checkpoint_copy:
            copy = Copy(settings.ledger.checkpoint_copy, identity).read()
        if not store.exists and copy is not None:
            raise EvidenceError(
                "the state store is gone, and its ledger with it: there is a checkpoint of it", code=ROLLED_BACK
            )
        return store.ledger.verify(known, copy)


def _note(file: Path) -> str:
    from retentiond.errors import UsageError

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise UsageError(f"the checkpoint {file} cannot be read", code="unreadable") from None


def _ids(keys: tuple["VerifierKey", ...]) -> list[str]:
    from retentiond.state.keys import sign_id

    return [sign_id(key) for key in keys]


def _as_text(found: "Verified") -> Iterator[str]:
    from retentiond.engine.report import instant_text

    yield f"{counted(found.entries, 'entry')}, nothing changed, removed, added or reordered"
    if found.checkpoint is not None:
        size, signed = counted(found.checkpoint.size, "entry"), instant_text(found.checkpoint.signed_at)
        yield f"checkpoint of {size}, signed {signed} by {' and '.join(_ids(found.signed_by))}"
    if found.unsigned:
        yield f"{counted(found.unsigned, 'entry')} not signed yet: whether they were changed cannot be told"
    if found.open_batches:
        yield f"{counted(found.open_batches, 'chunk')} whose end is not known yet"


def _as_json(found: "Verified") -> dict[str, Any]:
    from retentiond.engine.report import instant_text

    checkpoint = found.checkpoint and {
        "origin": found.checkpoint.origin,
        "size": found.checkpoint.size,
        "root": found.checkpoint.root.hex(),
        "signed_at": instant_text(found.checkpoint.signed_at),
        "signed_by": _ids(found.signed_by),
    }
    return {
        "entries": found.entries,
        "checkpoint": checkpoint,
        "unsigned": found.unsigned,
        "open": found.open_batches,
    }
