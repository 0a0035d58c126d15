"""The key that tokens are made with: a file of its own, made by the first run that needs it, for its owner only."""

import os
import secrets
import stat
from pathlib import Path

from retentiond.errors import RefusedError

_NAME = "token.key"
_BYTES = 32


def token_key(folder: Path) -> bytes:
    """
    The token key in `folder`; folder (0700) and key (0600) are made where they do not exist.

    Raises:
        RefusedError: where the key is short or others may read it.
    """
    file = folder / _NAME
    if not file.exists():
        _make(folder, file)
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise RefusedError(f"others may read the key {file}", hint=f"chmod 600 {file}", code="key-readable")
    key = file.read_bytes()
    if len(key) != _BYTES:
        raise RefusedError(
            f"the key {file} is damaged", hint="restore it; a new one would make other tokens", code="key"
        )
    return key


def _make(folder: Path, file: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = folder / f".{_NAME}.{os.getpid()}"
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(made, file)  # of two processes that start at once, one makes the key
    except FileExistsError:
        pass
    finally:
        made.unlink()
