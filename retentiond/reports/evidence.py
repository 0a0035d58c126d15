"""The ledger as certificates need it: verified as a whole, told entry by entry, and able to prove some of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retentiond.reports.certificate import Signed
from retentiond.reports.proofs import proven
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.leaf import CHECKPOINT, parse
from retentiond.state.ledger.signing import Copy
from retentiond.state.ledger.tree import leaf_hash
from retentiond.state.store import Store

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A verified ledger: its checkpoint, who signed it, and the hash of every leaf under it."""

    note: str
    keys: tuple[str, ...]
    hashes: Sequence[bytes]

    def signed(self, entries: Iterable[Entry]) -> Signed:
        """These entries with their proofs."""
        return proven(self.note, self.keys, self.hashes, entries)


def read_evidence(store: Store, keys: KeyRing, copy_folder: Path | None, take: Callable[[Entry], None]) -> Evidence:
    """
    The ledger, of which `take` was given every entry, oldest first.

    Raises:
        EvidenceError: where it does not verify. RefusedError: where it is not signed up to its end.
    """
    known = keys.verifiers()
    copy = Copy(copy_folder, store.ledger.state_id()).read() if copy_folder is not None else None
    verified = store.ledger.verify(known, copy)
    hashes: list[bytes] = []
    note = ""
    for line in store.ledger.export():
        entry = parse(line[:-1])
        if entry["kind"] == CHECKPOINT:
            note = entry[CHECKPOINT]
        else:
            hashes.append(leaf_hash(line[:-1]))
            take(entry)
    return Evidence(note, tuple(str(key) for key in verified.signed_by), hashes)
