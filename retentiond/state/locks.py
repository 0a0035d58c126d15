"""
The gate beside a SQLite state store, and one lock per job: OS locks that die with the process that holds them.

Chunks take the gate shared around their commit; who takes a permission back takes it exclusively. A plain shared lock
would starve the exclusive side under load, hence the turnstile: whoever waits there lets nobody pass behind him.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from retentiond.errors import RefusedError, TransientError

_PAUSE = 0.002  # seconds between two tries


class Gate:
    """The gate of one state store; its files lie in `folder`, which exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def shared(self, seconds: float) -> Iterator[None]:
        """
        Inside, nobody takes a permission back.

        Raises:
            TransientError: where the gate was not to be had in `seconds`.
        """
        deadline = time.monotonic() + seconds
        with contextlib.ExitStack() as stack:
            with _locked(self._folder / "turnstile", fcntl.LOCK_EX, deadline):
                stack.enter_context(_locked(self._folder / "gate", fcntl.LOCK_SH, deadline))
            yield

    @contextlib.contextmanager
    def exclusive(self, seconds: float) -> Iterator[None]:
        """
        Inside, nobody commits.

        Raises:
            TransientError: where the gate was not to be had in `seconds`.
        """
        deadline = time.monotonic() + seconds
        with (
            _locked(self._folder / "turnstile", fcntl.LOCK_EX, deadline),
            _locked(self._folder / "gate", fcntl.LOCK_EX, deadline),
        ):
            yield


@contextlib.contextmanager
def job_lock(folder: Path, job: str) -> Iterator[None]:
    """
    Inside, no other process works on the job.

    Raises:
        RefusedError: where one does.
    """
    name = hashlib.sha256(job.encode()).hexdigest()[:32]
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(folder / f"job-{name}", fcntl.LOCK_EX, time.monotonic()))
        except TransientError:
            raise RefusedError(
                f"another process is at work on {job}", hint="let it finish, or end it", code="busy"
            ) from None
        yield


@contextlib.contextmanager
def _locked(file: Path, how: int, deadline: float) -> Iterator[None]:
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TransientError(
                        "another process holds the gate of the state store", hint="try again", code="gate-busy"
                    ) from None
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(handle)
