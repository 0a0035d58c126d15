"""Checkpoints (c2sp.org/tlog-checkpoint): how large the ledger is and what its root is, said under a signature."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from retentiond.state.ledger.leaf import instant_of, instant_text
from retentiond.state.ledger.note import NoteError, SigningKey, VerifierKey, open_note, sign_note, strict_base64
from retentiond.state.ledger.tree import HASH_BYTES

_SIZE = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_SIGNED = "signed "


def origin_of(state_id: str) -> str:
    """The name under which the ledger of that state store signs."""
    return f"retentiond/{state_id}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of one ledger at one moment. Checkpoints of the same ledger are consistent with each other, for ever."""

    origin: str
    size: int
    root: bytes
    signed_at: datetime

    @property
    def text(self) -> str:
        """What is signed: origin, size, root, and as an extension when."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\n{_SIGNED}{instant_text(self.signed_at)}\n"


def sign(checkpoint: Checkpoint, keys: Sequence[SigningKey]) -> str:
    """The checkpoint as a note that each of these keys signed."""
    return sign_note(checkpoint.text, keys)


def open_checkpoint(
    note: str, known: Sequence[VerifierKey], *, every: bool = False
) -> tuple[Checkpoint, tuple[VerifierKey, ...]]:
    """
    The checkpoint that a note is, and which of the known keys signed it in the name of its ledger.

    Raises:
        NoteError: where the note is malformed or not signed as it should be; see `open_note`.
    """
    text, signed_by = open_note(note, known, every=every)
    checkpoint = _read(text)
    own = tuple(key for key in signed_by if key.name == checkpoint.origin)
    if not own:
        raise NoteError("signed by another ledger's key")
    return checkpoint, own


def _read(text: str) -> Checkpoint:
    try:
        origin, size, root, signed, rest = text.split("\n")
        found = Checkpoint(origin, int(size), strict_base64(root), instant_of(signed.removeprefix(_SIGNED)))
    except ValueError:
        raise NoteError("no checkpoint of retentiond") from None
    if rest or not origin or not _SIZE.fullmatch(size) or len(found.root) != HASH_BYTES or found.text != text:
        raise NoteError("no checkpoint of retentiond")
    return found
