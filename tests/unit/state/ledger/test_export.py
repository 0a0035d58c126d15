"""An export, and everything that may not be done to one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.errors import EvidenceError
from retentiond.state.ledger import books as books_module
from retentiond.state.ledger.leaf import canonical, parse
from retentiond.state.ledger.note import SigningKey, VerifierKey
from retentiond.state.ledger.verify import Verified, verify_export
from tests.unit.state.ledger.pages import JOB, KEY, LATER_KEY, ORIGIN, Book, exported, full_book, signed

BOOK = full_book()
EXPORT = exported(BOOK.leaves)
LINES = EXPORT.splitlines(keepends=True)
SIZE = len(BOOK.entries)
SHORT = exported(BOOK.leaves[:2])
KNOWN = (KEY.verifier,)


def verified(data: bytes, known: Sequence[VerifierKey] = KNOWN, copy: str | None = None) -> Verified:
    return verify_export(io.BytesIO(data), known, copy)


def refusal(data: bytes, known: Sequence[VerifierKey] = KNOWN, copy: str | None = None) -> EvidenceError:
    with pytest.raises(EvidenceError) as caught:
        verified(data, known, copy)
    return caught.value


def is_refused(data: bytes) -> bool:
    try:
        verified(data)
    except EvidenceError:
        return True
    return False


def test_an_untouched_export_verifies() -> None:
    found = verified(EXPORT)
    assert (found.entries, found.unsigned, found.open_batches) == (SIZE, 0, 0)
    assert found.signed_by == KNOWN
    assert found.checkpoint is not None
    assert (found.checkpoint.size, found.checkpoint.origin) == (SIZE, ORIGIN)


def test_an_export_without_entries_verifies() -> None:
    assert verified(exported([])).entries == 0


@pytest.fixture
def lines_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that was read is not read again: most lines are alike in what follows, and there are many."""
    monkeypatch.setattr(books_module, "parse", lru_cache(maxsize=500)(parse))


@pytest.mark.usefixtures("lines_read_once")
def test_no_byte_can_be_changed() -> None:
    found = []
    for place in range(len(EXPORT)):
        changed = bytearray(EXPORT)
        changed[place] ^= 1 << place % 8
        if not is_refused(bytes(changed)):
            found.append(place)
    assert not found


@pytest.mark.usefixtures("lines_read_once")
def test_it_cannot_be_cut_off_anywhere() -> None:
    assert not [end for end in range(len(EXPORT)) if not is_refused(EXPORT[:end])]


def test_no_bit_of_a_short_one_can_be_turned() -> None:
    for place in range(len(SHORT)):
        for bit in range(8):
            changed = bytearray(SHORT)
            changed[place] ^= 1 << bit
            assert is_refused(bytes(changed)), (place, bit)


def test_no_byte_of_a_short_one_can_be_removed_or_put_in() -> None:
    for place in range(len(SHORT)):
        assert is_refused(SHORT[:place] + SHORT[place + 1 :]), place
        assert is_refused(SHORT[:place] + SHORT[place : place + 1] + SHORT[place:]), place


def test_nothing_can_be_put_behind_or_before_it() -> None:
    for more in (b"\n", b" ", b"\x00", b"{}\n", LINES[0], LINES[-1], EXPORT):
        assert is_refused(EXPORT + more)
        assert is_refused(more + EXPORT)


def test_no_line_can_be_removed_repeated_or_moved() -> None:
    for place in range(len(LINES)):
        assert is_refused(b"".join(LINES[:place] + LINES[place + 1 :]))
        assert is_refused(b"".join(LINES[: place + 1] + LINES[place:]))
        for other in range(place):
            swapped = list(LINES)
            swapped[place], swapped[other] = swapped[other], swapped[place]
            assert is_refused(b"".join(swapped))


@settings(max_examples=300)
@given(st.data())
def test_no_span_can_be_replaced(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(EXPORT)))
    end = data.draw(st.integers(start, min(len(EXPORT), start + 200)))
    piece = data.draw(st.binary(max_size=60) | st.sampled_from(LINES) | st.just(EXPORT[start:end].swapcase()))
    changed = EXPORT[:start] + piece + EXPORT[end:]
    assert is_refused(changed) == (changed != EXPORT)


def test_the_first_bad_entry_is_named() -> None:
    cut = b"".join(LINES[:17] + LINES[18:])
    assert refusal(cut).message == "entry 17 of the ledger is wrong: not the number that comes next"
    broken = b"".join([*LINES[:30], LINES[30].replace(b":", b": ", 1), *LINES[31:]])
    assert refusal(broken).message == "entry 30 of the ledger is wrong: not the canonical form"
    assert refusal(b"".join(LINES[:40])).message == (
        "the export does not end with a checkpoint: entries behind 39 are missing"
    )
    other = EXPORT.replace(b'"rows":1200', b'"rows":1201')
    assert refusal(other).message == (
        f"the entries 0 to {SIZE - 1} are not those that were signed: at least one of them was changed"
    )
    assert refusal(other, copy=signed(BOOK.leaves[:2])).code == "ledger-rolled-back"
    late = EXPORT.replace(b'"fence":3', b'"fence":4')
    assert refusal(late, copy=signed(BOOK.leaves[:20])).message == (
        f"the entries 20 to {SIZE - 1} are not those that were signed: at least one of them was changed"
    )


def test_another_key_does_not_do() -> None:
    stranger = SigningKey(ORIGIN, bytes(32)).verifier
    assert refusal(EXPORT, (stranger,)).code == "ledger-signature"
    assert refusal(EXPORT, ()).code == "ledger-signature"
    assert verified(EXPORT, (stranger, *KNOWN)).entries == SIZE


def test_a_forger_without_the_key_signs_in_vain() -> None:
    forged = [canonical({**entry, "by": "nobody"}) for entry in BOOK.entries]
    assert refusal(exported(forged, [SigningKey(ORIGIN, bytes(32))])).code == "ledger-signature"


def test_after_a_rotation_both_keys_are_needed_and_no_signature_can_be_taken_away() -> None:
    both = exported(BOOK.leaves, [LATER_KEY, KEY])
    assert verified(both, (KEY.verifier, LATER_KEY.verifier)).signed_by == (LATER_KEY.verifier, KEY.verifier)
    assert "key that was not given" in refusal(both, (LATER_KEY.verifier,)).message
    known = (KEY.verifier, LATER_KEY.verifier)
    start = both.index(b"\xe2\x80\x94")
    for place in range(start, len(both)):
        changed = both[:place] + bytes([both[place] ^ 1]) + both[place + 1 :]
        assert refusal(changed, known).code in ("ledger-signature", "ledger-damaged"), place


def test_a_copy_put_away_shows_what_was_taken_back() -> None:
    early, late = BOOK.leaves[:40], BOOK.leaves
    assert verified(exported(late), copy=signed(early)).entries == SIZE
    assert verified(exported(late), copy=signed(late)).entries == SIZE
    assert verified(exported(late), copy=signed([])).entries == SIZE
    taken_back = refusal(exported(early), copy=signed(late))
    assert (taken_back.code, taken_back.message) == (
        "ledger-rolled-back",
        f"the ledger was taken back: {SIZE} entries were signed, 40 are there",
    )
    forked = [canonical({**entry, "fork": 1}) if entry["seq"] == 41 else canonical(entry) for entry in BOOK.entries]
    assert verified(exported(forked)).entries == SIZE
    assert refusal(exported(forked), copy=signed(late[:50])).code == "ledger-rolled-back"
    assert verified(exported(forked), copy=signed(early)).entries == SIZE
    assert refusal(EXPORT, copy="nonsense").code == "ledger-signature"
    another = SigningKey("retentiond/another", bytes(32))
    mark = signed(early, [another], "retentiond/another")
    assert refusal(EXPORT, (*KNOWN, another.verifier), mark).code == "ledger-rolled-back"


def written(book: Book) -> EvidenceError | None:
    """What is wrong with a book, though every byte of it is signed."""
    try:
        verified(exported(book.leaves))
    except EvidenceError as error:
        return error
    return None


def test_an_open_batch_is_counted() -> None:
    book = Book()
    book.intend("one", {"crm.customers": 5})
    book.settle("two", book.intend("two", {"crm.customers": 5}), "unresolved", {})
    assert verified(exported(book.leaves)).open_batches == 2
    book.settle("two", 1, "destroyed", {"crm.customers": 4})
    assert verified(exported(book.leaves)).open_batches == 1


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"batch": "two"}, "an outcome without an intent"),
        ({"intent": 1}, "an outcome of another intent"),
        ({"intent": None}, "an outcome of another intent"),
        ({"job": "another/job@crm"}, "an outcome of another intent"),
        ({"status": "gone"}, "an outcome of no known status"),
        ({"status": None}, "without `status`"),
        ({"tables": {"crm.customers": 6}}, "more rows than were meant"),
        ({"tables": {"crm.others": 1}}, "more rows than were meant"),
        ({"tables": {"crm.customers": -1}}, "without counts of rows"),
        ({"tables": {"crm.customers": True}}, "without counts of rows"),
        ({"tables": None}, "without counts of rows"),
    ],
)
def test_an_outcome_fits_its_intent(fields: dict[str, object], complaint: str) -> None:
    book = Book()
    said: dict[str, object] = {"batch": "one", "intent": 0, "status": "destroyed", "tables": {"crm.customers": 5}}
    book.intend("one", {"crm.customers": 5})
    book.add("outcome", **{"job": JOB, **said, **fields})
    error = written(book)
    assert error is not None
    assert error.message == f"entry 1 of the ledger is wrong: {complaint}"


def test_there_is_one_outcome_and_one_intent() -> None:
    book = Book()
    book.chunk("one", {"crm.customers": 5})
    book.settle("one", 0, "destroyed", {"crm.customers": 5})
    assert str(written(book)) == "entry 2 of the ledger is wrong: a second outcome"
    again = Book()
    again.chunk("one", {"crm.customers": 5})
    again.intend("one", {"crm.customers": 5})
    assert str(written(again)) == "entry 2 of the ledger is wrong: a batch that was there before"


def test_no_more_comes_back_than_went() -> None:
    book = Book()
    book.chunk("one", {"crm.customers": 5})
    book.chunk("two", {"crm.customers": 5}, "changed")
    book.settle("", 0, "restored", {"crm.customers": 5})
    assert written(book) is None
    book.settle("", 0, "restored", {"crm.customers": 1})
    assert str(written(book)) == "entry 5 of the ledger is wrong: more rows came back than had gone"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"seq": True}, "not the number that comes next"),
        ({"seq": 2}, "not the number that comes next"),
        ({"seq": "1"}, "not the number that comes next"),
        ({"seq": None}, "not the number that comes next"),
        ({"kind": "gossip"}, "of no known kind"),
        ({"kind": None}, "of no known kind"),
        ({"time": "2026-11-22T00:59:59Z"}, "before the time of the entry before it"),
        ({"time": "2026-11-22T01:00:01.000000Z"}, "not the canonical form of an instant"),
        ({"time": None}, "no instant"),
        ({"kind": "prune", "before": "2027-01-01T00:00:00Z"}, "dropped before their time"),
        ({"kind": "prune"}, "no instant"),
        ({"kind": "intent", "batch": 5}, "without `batch`"),
        ({"kind": "intent", "batch": "b", "tables": {}, "tokens": {}}, "no lists of tokens"),
        ({"kind": "intent", "batch": "b", "tables": {}, "tokens": [1]}, "no list of tokens"),
    ],
)
def test_an_entry_stands_in_its_place(entry: dict[str, object], complaint: str) -> None:
    book = Book()
    book.add("stop")
    book.add("stop")
    book.entries[1] |= entry
    assert str(written(book)) == f"entry 1 of the ledger is wrong: {complaint}"


def test_an_intent_has_as_many_tokens_as_rows() -> None:
    book = Book()
    book.intend("one", {"crm.customers": 5})
    book.entries[0]["tokens"][0]["count"] = 4
    assert str(written(book)) == "entry 0 of the ledger is wrong: another number of tokens than of rows"


def test_the_last_line_is_a_checkpoint_and_nothing_else() -> None:
    for entry in (
        {"kind": "checkpoint", "checkpoint": signed(BOOK.leaves), "more": 1},
        {"kind": "checkpoint", "checkpoint": 5},
        {"kind": "outcome", "checkpoint": signed(BOOK.leaves)},
        {"checkpoint": signed(BOOK.leaves)},
    ):
        assert "does not end with a checkpoint" in refusal(b"".join(LINES[:-1]) + canonical(entry) + b"\n").message
    assert "does not end with a checkpoint" in refusal(b"").message
    fewer = b"".join(LINES[:10]) + canonical({"kind": "checkpoint", "checkpoint": signed(BOOK.leaves)}) + b"\n"
    assert refusal(fewer).message == f"10 entries are there, {SIZE} were signed"
