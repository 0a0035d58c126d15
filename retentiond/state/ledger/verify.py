"""
Verification: every leaf in its one form and its place, every checkpoint signed and about this very tree, the books in
order, the tokens those that the leaves name. An export needs nothing but itself and the public key.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, cast, func, select
from sqlalchemy.engine import Connection

from retentiond.errors import EvidenceError
from retentiond.state import tables as schema
from retentiond.state.ledger.books import Books, ListedTokens, listed_tokens
from retentiond.state.ledger.checkpoint import Checkpoint, open_checkpoint
from retentiond.state.ledger.leaf import CHECKPOINT, canonical, parse
from retentiond.state.ledger.note import NoteError, VerifierKey
from retentiond.state.ledger.signing import ROLLED_BACK
from retentiond.state.ledger.token_list import TokenList
from retentiond.state.ledger.tree import Frontier, Growth, leaf_hash

DAMAGED = "ledger-damaged"
SIGNATURE = "ledger-signature"
TOKENS = "ledger-tokens"

_AT_ONCE = 500

_L = schema.ledger.c
_C = schema.checkpoints.c
_H = schema.ledger_head.c
_T = schema.token_lists.c
_I = schema.intents.c


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in order: how many entries, the newest checkpoint and who signed it, what is not settled yet."""

    entries: int
    checkpoint: Checkpoint | None
    signed_by: tuple[VerifierKey, ...]
    open_batches: int

    @property
    def unsigned(self) -> int:
        """The entries behind the newest checkpoint."""
        return self.entries - (self.checkpoint.size if self.checkpoint else 0)


def export_lines(leaves: Iterable[bytes], note: str) -> Iterator[bytes]:
    """An export: the leaves, each a line, and the checkpoint over them as the last."""
    for leaf in leaves:
        yield leaf + b"\n"
    yield canonical({"kind": CHECKPOINT, CHECKPOINT: note}) + b"\n"


def verify_export(lines: Iterable[bytes], known: Sequence[VerifierKey], copy: str | None = None) -> Verified:
    """
    What an export holds, where not a byte of it is another than when it was signed.

    `lines` end as they do in the file; `copy` is a checkpoint that was kept elsewhere and must be a beginning of it.

    Raises:
        EvidenceError: otherwise; the message names the first entry that is wrong, as far as can be told.
    """
    mark = None if copy is None else _opened(copy, known, "the checkpoint to compare with", every=False)[0]
    growth, books = Growth(), Books()
    last: bytes | None = None
    if mark is not None and mark.size == 0:
        _compare(growth, mark)
    for line in lines:
        if last is not None:
            growth.add(_entry(books, last))
            if mark is not None and mark.size == growth.size:
                _compare(growth, mark)
        last = line
    tree = growth.frontier()
    note = _last_line(last, books.size)
    signed, signed_by = _opened(note, known, "the checkpoint at the end", every=True)
    if mark is not None and mark.origin != signed.origin:
        raise EvidenceError(f"the checkpoint to compare with is of another ledger: {mark.origin}", code=ROLLED_BACK)
    if mark is not None and mark.size > tree.size:
        raise _behind(tree.size, mark.size)
    if signed.size != tree.size:
        raise EvidenceError(f"{tree.size} entries are there, {signed.size} were signed", code=DAMAGED)
    if signed.root != tree.root():
        raise _other_tree(mark.size if mark else 0, tree.size)
    return Verified(tree.size, signed, signed_by, len(books.open_batches))


def verify_store(
    connection: Connection, origin: str, known: Sequence[VerifierKey], copy: str | None = None
) -> Verified:
    """
    What a state store's ledger holds, where all of it is in order; `copy` is the checkpoint from the second place.

    Raises:
        EvidenceError: otherwise; the message names the first entry that is wrong.
    """
    return _StoreCheck(connection, origin, known, copy).verify()


class _StoreCheck:
    """One walk through a state store's ledger."""

    def __init__(self, connection: Connection, origin: str, known: Sequence[VerifierKey], copy: str | None) -> None:
        self._connection, self._origin, self._known, self._copy = connection, origin, known, copy
        self._books = Books()
        self._listed: list[ListedTokens] = []
        self._lists = 0
        self._missing: list[ListedTokens] = []

    def verify(self) -> Verified:
        marks, newest, signed_by = self._marks()
        growth, before = Growth(), 0
        query = select(_L.seq, _raw(_L.leaf), _raw(_L.hash)).order_by(_L.seq).execution_options(yield_per=_AT_ONCE)
        for row in self._connection.execute(query):
            growth.add(self._leaf(*row))
            if growth.size in marks:
                if growth.frontier().root() != marks[growth.size].root:
                    raise _other_tree(before, growth.size)
                before = growth.size
        tree = growth.frontier()
        self._look_up_tokens()
        self._check_head(tree)
        beyond = [mark for mark in marks.values() if mark.size > tree.size]
        if beyond:
            raise _behind(tree.size, max(mark.size for mark in beyond))
        self._check_pruned()
        self._check_open()
        return Verified(tree.size, newest, signed_by, len(self._books.open_batches))

    def _marks(self) -> tuple[dict[int, Checkpoint], Checkpoint | None, tuple[VerifierKey, ...]]:
        """Every checkpoint by its size, the newest, and who signed that."""
        marks: dict[int, Checkpoint] = {}
        newest: Checkpoint | None = None
        signed_by: tuple[VerifierKey, ...] = ()
        for size, note in self._connection.execute(select(_C.size, _raw(_C.note)).order_by(_C.size)):
            what = f"the checkpoint of {size} entries"
            newest, signed_by = _opened(_text(note), self._known, what, every=False)
            if newest.size != size or newest.origin != self._origin:
                raise EvidenceError(f"{what} is another's", code=SIGNATURE)
            marks[size] = newest
        if self._copy is not None:
            mark, _ = _opened(self._copy, self._known, "the copy of the last checkpoint", every=False)
            if mark.origin != self._origin:
                raise EvidenceError(
                    f"the copy of the last checkpoint is of another ledger: {mark.origin}", code=ROLLED_BACK
                )
            if marks.setdefault(mark.size, mark).root != mark.root:
                raise EvidenceError(
                    f"two checkpoints of {mark.size} entries contradict each other: the ledger is another than the one "
                    "that was signed",
                    code=ROLLED_BACK,
                )
        return marks, newest, signed_by

    def _leaf(self, seq: int, leaf: bytes, kept: bytes) -> bytes:
        """The hash of the next leaf, which is in order."""
        expected, own = self._books.size, leaf_hash(leaf or b"")
        try:
            if seq != expected:
                raise ValueError("missing")
            if own != kept:
                raise ValueError("not what was appended")
            entry = self._books.take(leaf)
            if entry["kind"] == "intent":
                self._listed += listed_tokens(entry)
        except ValueError as error:
            self._look_up_tokens()
            raise _damaged(expected, error) from None
        if len(self._listed) >= _AT_ONCE:
            self._look_up_tokens()
        return own

    def _look_up_tokens(self) -> None:
        """Compare the lists of tokens with those that the last entries named."""
        batches = {one.batch for one in self._listed}
        query = select(_T.batch, _T.table, _T.scheme, _T.key, _raw(_T.tokens)).where(_T.batch.in_(batches))
        found = {
            (batch, table): TokenList(table, scheme, key, tokens or b"")
            for batch, table, scheme, key, tokens in (self._connection.execute(query) if batches else ())
        }
        for one in self._listed:
            there = found.get((one.batch, one.table))
            if there is None:
                self._missing.append(one)
            elif (there.scheme, there.key, there.count, there.sha256) != (one.scheme, one.key, one.count, one.sha256):
                raise EvidenceError(
                    f"the tokens of {one.table} in batch {one.batch} are not those that entry {one.seq} names",
                    code=TOKENS,
                )
        self._lists += len(found)
        self._listed.clear()

    def _check_head(self, tree: Frontier) -> None:
        """Compare what the store knows of the ledger's end with what is there."""
        head = self._connection.execute(select(_H.size, _raw(_H.frontier))).one_or_none()
        size, frontier = head or (0, b"")
        if size > tree.size:
            raise EvidenceError(f"entry {tree.size} of the ledger is missing, of {size}", code=DAMAGED)
        if (size, frontier) != (tree.size, tree.to_bytes()):
            raise EvidenceError("the head of the ledger is not that of its entries", code=DAMAGED)

    def _check_pruned(self) -> None:
        """Only lists whose time was over are missing, and there are none that no entry names."""
        before = self._books.pruned_before
        for one in self._missing:
            if before is None or one.time >= before:
                raise EvidenceError(
                    f"the tokens of {one.table} in batch {one.batch}, which entry {one.seq} names, are missing",
                    code=TOKENS,
                )
        if self._connection.execute(select(func.count()).select_from(schema.token_lists)).scalar_one() != self._lists:
            raise EvidenceError("there are tokens that no entry names", code=TOKENS)

    def _check_open(self) -> None:
        """The batches without an outcome are those that the store holds open."""
        open_batches = self._books.open_batches
        query = select(_I.batch, _I.seq, _I.outcome)
        wrong: list[tuple[int, str]] = []
        there: set[str] = set()
        for row in self._connection.execute(query):
            there.add(row.batch)
            is_open = row.batch in open_batches
            if is_open != (row.outcome in (None, "unresolved")):
                wrong.append((row.seq, row.batch))
        wrong += [(seq, batch) for batch, seq in open_batches.items() if batch not in there]
        if wrong:
            seq, batch = min(wrong)
            raise EvidenceError(
                f"what the state store says of batch {batch} is not what the entries from {seq} on say", code=DAMAGED
            )


def _raw(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The bytes of a column, whatever somebody put there."""
    return cast(column, LargeBinary)


def _text(note: bytes | None) -> str:
    return (note or b"").decode("utf-8", "replace")


def _entry(books: Books, line: bytes) -> bytes:
    """The hash of the next line's leaf, which is in order."""
    try:
        if not line.endswith(b"\n"):
            raise ValueError("cut off")
        books.take(line[:-1])
    except ValueError as error:
        raise _damaged(books.size, error) from None
    return leaf_hash(line[:-1])


def _last_line(line: bytes | None, entries: int) -> str:
    """The note in the last line of an export."""
    try:
        if line is None or not line.endswith(b"\n"):
            raise ValueError("cut off")
        entry: dict[str, Any] = parse(line[:-1])
    except ValueError as error:
        raise EvidenceError(
            f"the export does not end with a checkpoint, line {entries + 1} is {error}", code=DAMAGED
        ) from None
    note = entry.get(CHECKPOINT)
    if set(entry) != {"kind", CHECKPOINT} or entry["kind"] != CHECKPOINT or not isinstance(note, str):
        raise EvidenceError(
            f"the export does not end with a checkpoint: entries behind {entries} are missing", code=DAMAGED
        )
    return note


def _opened(
    note: str, known: Sequence[VerifierKey], what: str, *, every: bool
) -> tuple[Checkpoint, tuple[VerifierKey, ...]]:
    try:
        return open_checkpoint(note, known, every=every)
    except NoteError as error:
        raise EvidenceError(f"{what} does not verify: {error}", code=SIGNATURE) from None


def _compare(growth: Growth, mark: Checkpoint) -> None:
    if growth.frontier().root() != mark.root:
        raise EvidenceError(
            f"the ledger is another than the one that was signed when it had {mark.size} entries", code=ROLLED_BACK
        )


def _damaged(seq: int, error: ValueError) -> EvidenceError:
    return EvidenceError(f"entry {seq} of the ledger is wrong: {error}", code=DAMAGED)


def _other_tree(first: int, size: int) -> EvidenceError:
    return EvidenceError(
        f"the entries {first} to {size - 1} are not those that were signed: at least one of them was changed",
        code=DAMAGED,
    )


def _behind(size: int, signed: int) -> EvidenceError:
    return EvidenceError(f"the ledger was taken back: {signed} entries were signed, {size} are there", code=ROLLED_BACK)
