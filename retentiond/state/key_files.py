"""Keys as files: for their owner alone, made whole or not at all, and gone for good when they are destroyed."""

import contextlib
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from retentiond.errors import RefusedError, TransientError, UsageError

KEY_BYTES = 32
LOCK_SECONDS = 10.0


def read_key(file: Path, *, most: int = 1) -> bytes:
    """
    What is in the file of a key, or of up to `most` of them.

    Raises:
        RefusedError: where it is not there, damaged, cannot be read, or others may read it.
    """
    try:
        data = file.read_bytes()
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise missing(file) from None
    except OSError as error:
        raise RefusedError(
            f"the key {file} cannot be read: {error.strerror}",
            hint="run this as the user that the daemon runs as",
            code="key",
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise RefusedError(f"others may read the key {file}", hint=f"chmod 600 {file}", code="key-readable")
    if not data or len(data) % KEY_BYTES or len(data) > most * KEY_BYTES:
        raise RefusedError(
            f"the key {file} is damaged", hint="restore it; a new one would make other tokens", code="key"
        )
    return data


def missing(file: Path) -> RefusedError:
    """What to say where a key should be and is not."""
    return RefusedError(
        f"the key {file} is missing", hint="restore it from your back-up; a new one is never made", code="missing-key"
    )


def make_key(file: Path) -> None:
    """Make a key at random where none is; of two processes that start at once, one makes it."""
    put_new(file, secrets.token_bytes(KEY_BYTES))


def put_new(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that was not there, whole or not at all; one that is there stays as it is."""
    with _writing(file):
        made = _beside(file, data, mode)
        try:
            with contextlib.suppress(FileExistsError):
                os.link(made, file)
        finally:
            made.unlink()
        _sync(file.parent)


def replace(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all, over what was there; of a secret that was there nothing stays behind."""
    with _writing(file), contextlib.ExitStack() as stack:
        before: IO[bytes] | None = None
        if file.exists() and not mode & stat.S_IRGRP:
            before = stack.enter_context(file.open("r+b"))
        _beside(file, data, mode).replace(file)
        _sync(file.parent)
        if before is not None:
            _overwrite(before)


def destroy(file: Path) -> None:
    """Overwrite a key and remove it; nothing happens where it is not there."""
    with _writing(file), contextlib.suppress(FileNotFoundError):
        with file.open("r+b") as stream:
            _overwrite(stream)
        file.unlink()
        _sync(file.parent)


@contextlib.contextmanager
def folder_alone(folder: Path) -> Iterator[None]:
    """Inside, no other process changes the keys; the folder is made, 0700, where it is not there."""
    with _writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"another process works on the keys in {folder} and does not finish", code="keys-busy"
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written: {error.strerror}",
            hint="give the folder to the user that the daemon runs as, or set `keys` under [ledger]",
            code="keys-unwritable",
        ) from None


def _beside(file: Path, data: bytes, mode: int) -> Path:
    """A new file with that content beside the one it is to become, on the disk."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except OSError:
        made.unlink(missing_ok=True)
        raise
    return made


def _overwrite(stream: IO[bytes]) -> None:
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    stream.write(secrets.token_bytes(length))
    stream.flush()
    os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
