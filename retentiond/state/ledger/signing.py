"""
Checkpoints of a ledger: signed when it grew, kept beside it and in a second place, and never one that says otherwise
than an earlier one did. What the second place holds shows a ledger that was taken back to an older state.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from retentiond.errors import EvidenceError, TransientError
from retentiond.state import tables as schema
from retentiond.state.ledger.checkpoint import Checkpoint, open_checkpoint, sign
from retentiond.state.ledger.note import NoteError, SigningKey, VerifierKey
from retentiond.state.ledger.tree import Frontier, leaf_hash

ROLLED_BACK = "ledger-rolled-back"
LOCK_SECONDS = 10.0

_C = schema.checkpoints.c
_L = schema.ledger.c


class Copy:
    """The second place of one ledger's checkpoint: a file in a folder that is not with the state store."""

    def __init__(self, folder: Path, state_id: str) -> None:
        self._folder = folder
        self.file = folder / f"{state_id}.checkpoint"

    def read(self) -> str | None:
        """The note there; None where there is none yet."""
        try:
            return self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _unusable(self.file, "read", error) from None

    def write(self, note: str, keys: tuple[VerifierKey, ...]) -> None:
        """Put the note there, and beside it what it is verified with: whole or not at all."""
        with self._usable("written"):
            if self.read() != note:
                self._replace(self.file, note)
            public = self._folder / "ledger.pub"
            there = public.read_text(encoding="utf-8").splitlines() if public.exists() else []
            lines = [*there, *(str(key) for key in keys if str(key) not in there)]
            if lines != there:
                self._replace(public, "".join(f"{line}\n" for line in lines))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, nobody else writes there: an older checkpoint never comes after a newer one."""
        with self._usable("written"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        deadline = time.monotonic() + LOCK_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TransientError(
                            f"another process writes to {self._folder} and does not finish", code="checkpoint-busy"
                        ) from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _usable(self, how: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise _unusable(self.file, how, error) from None

    def _replace(self, file: Path, text: str) -> None:
        made = file.with_name(f".{file.name}.{os.getpid()}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        made.replace(file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def newest(connection: Connection) -> tuple[int, str | None]:
    """The size and the note of the ledger's newest checkpoint; 0 and None where there is none."""
    row = connection.execute(select(_C.size, _C.note).order_by(_C.size.desc()).limit(1)).one_or_none()
    return (0, None) if row is None else (row.size, row.note)


def sign_next(connection: Connection, frontier: Frontier, keys: tuple[SigningKey, ...], now: datetime) -> str:
    """The checkpoint of the tree as it is, kept beside the ledger; where it did not grow, the one that is there."""
    there = connection.execute(select(_C.note).where(_C.size == frontier.size)).scalar_one_or_none()
    if there is not None:
        return str(there)
    note = sign(Checkpoint(keys[0].verifier.name, frontier.size, frontier.root(), now), keys)
    values = {"size": frontier.size, "note": note, "frontier": frontier.to_bytes(), "written_at": now}
    connection.execute(insert(schema.checkpoints).values(values))
    return note


def check_signed(
    connection: Connection, frontier: Frontier, origin: str, known: tuple[VerifierKey, ...], copy: str | None
) -> None:
    """
    Compare the tree with its newest checkpoint and with the copy of one: both must be beginnings of it.

    Raises:
        EvidenceError: where they are not, or are not what this ledger signed.
    """
    marks: dict[int, bytes] = {}
    for note, place in ((copy, "the copy of the last checkpoint"), (newest(connection)[1], "the last checkpoint")):
        if note is None:
            continue
        try:
            signed, _ = open_checkpoint(note, known)
        except NoteError as error:
            raise EvidenceError(f"{place} does not verify: {error}", code=ROLLED_BACK) from None
        if signed.origin != origin:
            raise EvidenceError(f"{place} is of another ledger: {signed.origin}", code=ROLLED_BACK)
        if signed.size > frontier.size:
            raise EvidenceError(
                f"the ledger was taken back: {place} knows {signed.size} entries, {frontier.size} are there",
                hint="docs/running.md says how to go on from a state store that was lost or restored",
                code=ROLLED_BACK,
            )
        if marks.setdefault(signed.size, signed.root) != signed.root:
            raise _forked(signed.size)
    _check_growth(connection, frontier, marks)


def _check_growth(connection: Connection, frontier: Frontier, marks: Mapping[int, bytes]) -> None:
    """Let the tree grow from its earliest mark to its end; on the way are the other marks."""
    if not marks:
        return
    first = min(marks)
    tree = _frontier_at(connection, first, marks[first])
    query = select(_L.leaf).where(_L.seq >= tree.size).order_by(_L.seq).execution_options(yield_per=1000)
    hashes = (leaf_hash(bytes(leaf)) for leaf in connection.execute(query).scalars())
    for size in sorted({*marks, frontier.size}):
        tree = tree.extend(islice(hashes, size - tree.size))
        if tree.size != size or tree.root() != marks.get(size, tree.root()):
            raise _forked(size)
    if tree != frontier or next(hashes, None) is not None:
        raise EvidenceError("the leaves of the ledger are not those of its tree", code="ledger-damaged")


def _frontier_at(connection: Connection, size: int, root: bytes) -> Frontier:
    """The frontier of the tree of that size as its checkpoint kept it, or else an empty one to start from."""
    kept = connection.execute(select(_C.frontier).where(_C.size == size)).scalar_one_or_none()
    with contextlib.suppress(ValueError):
        if kept is not None:
            frontier = Frontier.from_bytes(size, bytes(kept))
            if frontier.root() == root:
                return frontier
    return Frontier()


def _forked(size: int) -> EvidenceError:
    return EvidenceError(
        f"the ledger is another than the one that was signed when it had {size} entries",
        hint="docs/running.md says how to go on from a state store that was lost or restored",
        code=ROLLED_BACK,
    )


def _unusable(file: Path, how: str, error: Exception) -> EvidenceError:
    said = error.strerror if isinstance(error, OSError) else "no text"
    return EvidenceError(
        f"the copy of the checkpoint {file} cannot be {how}: {said}",
        hint="set `checkpoint_copy` under [ledger] to a folder that this user may write to",
        code="checkpoint-copy",
    )
