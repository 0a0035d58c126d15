"""The ledger in a real state store: it grows with what it tells of, or not at all, and is signed once for each size."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from retentiond.errors import EvidenceError, RefusedError, RetentiondError, TransientError, UsageError
from retentiond.state.ledger import signing
from retentiond.state.ledger.leaf import instant_text
from retentiond.state.ledger.token_list import TokenList
from retentiond.state.ledger.tree import leaf_hash, root_of
from retentiond.state.ledger.verify import verify_export
from retentiond.state.store import Store, open_store
from tests.database.evidence import NOW, TABLE, Archive


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def full(store: Store, more: int) -> None:
    """From now on the file may grow by so many pages only, as on a disk that fills up."""
    with store.ledger._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")


def test_a_leaf_says_what_it_is_and_when(archive: Archive) -> None:
    with archive.open() as (store, _):
        assert store.ledger.size() == 0
        assert store.ledger.last_time() is None
        assert list(store.ledger.leaves()) == []
        assert store.ledger.write("stop", NOW, {"pattern": "*"}) == 0
        assert store.ledger.write("hold", NOW + timedelta(microseconds=5), {"hold": "h"}) == 1
        assert list(store.ledger.leaves()) == [
            b'{"kind":"stop","pattern":"*","seq":0,"time":"2026-11-22T01:00:00Z"}',
            b'{"hold":"h","kind":"hold","seq":1,"time":"2026-11-22T01:00:00.000005Z"}',
        ]
        assert list(store.ledger.leaves(1)) == list(store.ledger.leaves())[1:]
        assert [entry["kind"] for entry in store.ledger.entries()] == ["stop", "hold"]
        assert store.ledger.last_time() == NOW + timedelta(microseconds=5)
        hashes = [leaf_hash(leaf) for leaf in store.ledger.leaves()]
        assert store.ledger.head().frontier.root() == root_of(hashes)
    with open_store(archive.url, create=False) as store:
        assert store.ledger.size() == 2


def test_a_leaf_goes_with_the_transaction_that_it_is_part_of(archive: Archive) -> None:
    with archive.open() as (store, _):
        store.ledger.write("stop", NOW, {})
        with store.ledger._writer.connect() as connection, connection.begin() as transaction:
            assert store.ledger.append(connection, "stop", NOW, {}) == 1
            assert store.ledger.append(connection, "stop", NOW, {}) == 2
            transaction.rollback()
        assert store.ledger.size() == len(list(store.ledger.leaves())) == 1
        assert store.ledger.write("stop", NOW, {}) == 1
    assert archive.verify().entries == 2


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("gossip", {}),
        ("checkpoint", {}),
        ("stop", {"seq": 5}),
        ("stop", {"time": "x"}),
        ("stop", {"kind": "x"}),
        ("stop", {"share": 0.5}),
        ("stop", {"tables": {"a": [1.0]}}),
        ("stop", {"at": NOW}),
        ("stop", {"raw": b"x"}),
        ("stop", {"rows": 2**53}),
    ],
)
def test_what_no_leaf_may_say(archive: Archive, kind: str, fields: dict[str, object]) -> None:
    with archive.open() as (store, _):
        with pytest.raises(ValueError):  # noqa: PT011 - a mistake of ours, of whatever kind
            store.ledger.write(kind, NOW, fields)
        assert store.ledger.size() == 0


def test_a_leaf_is_appended_in_a_transaction_that_writes(archive: Archive) -> None:
    with archive.open() as (store, _):
        with store.ledger._engine.begin() as connection, pytest.raises(ValueError, match="begun to write"):
            store.ledger.append(connection, "stop", NOW, {})
        with pytest.raises(ValueError, match="zone"):
            store.ledger.write("stop", NOW.replace(tzinfo=None), {})
    with open_store(archive.url, create=False) as store:
        for write in (
            lambda: store.ledger.write("stop", NOW, {}),
            lambda: store.ledger.prune_tokens(None, NOW, timedelta()),  # type: ignore[arg-type]
            lambda: store.ledger.checkpoint(None, None, NOW),  # type: ignore[arg-type]
        ):
            with pytest.raises(UsageError) as caught:
                write()
            assert caught.value.code == "state-read-only"


def test_the_time_of_the_ledger_never_goes_back(archive: Archive) -> None:
    with archive.open() as (store, _):
        store.ledger.write("stop", NOW, {})
        store.ledger.write("stop", NOW - timedelta(seconds=60), {})
        with pytest.raises(RefusedError) as caught:
            store.ledger.write("stop", NOW - timedelta(seconds=61), {})
        assert caught.value.code == "clock"
        for seconds in (30, 60, 90):  # it does not creep back either
            with pytest.raises(RefusedError):
                store.ledger.write("stop", NOW - timedelta(seconds=60 + seconds), {})
        assert store.ledger.size() == 2
        assert {entry["time"] for entry in store.ledger.entries()} == {instant_text(NOW)}
    assert archive.verify().entries == 2


def test_a_clock_that_was_wrong_once_is_not_wrong_for_ever(archive: Archive) -> None:
    wrong = NOW + timedelta(days=2000)
    with archive.open() as (store, _):
        store.ledger.write("stop", wrong, {})
        with pytest.raises(RefusedError):
            store.ledger.write("stop", NOW, {})
        with store.ledger._writer.begin() as connection:
            store.ledger.accept_clock(connection, NOW)
            store.ledger.append(connection, "approval", NOW, {"guards": ["clock"]})
        store.ledger.write("stop", NOW + timedelta(seconds=1), {})
        with pytest.raises(RefusedError):
            store.ledger.write("stop", NOW - timedelta(seconds=61), {})
        assert {entry["time"] for entry in store.ledger.entries()} == {instant_text(wrong)}
    assert archive.verify().entries == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET leaf = x'00' WHERE seq = 0",
        "DELETE FROM ledger WHERE seq = 1",
        "DELETE FROM ledger",
        "INSERT INTO ledger (seq, leaf, hash) VALUES (5, x'00', x'00')",
        "INSERT INTO ledger (seq, leaf, hash) VALUES (-1, x'00', x'00')",
        "INSERT OR REPLACE INTO ledger (seq, leaf, hash) VALUES (0, x'00', x'00')",
        "REPLACE INTO ledger (seq, leaf, hash) VALUES (1, x'00', x'00')",
        "INSERT INTO ledger (seq, leaf, hash) VALUES (0, x'00', x'00') ON CONFLICT (seq) DO UPDATE SET leaf = x'00'",
    ],
)
def test_the_table_only_grows_at_its_end(archive: Archive, statement: str) -> None:
    with archive.open() as (store, _):
        store.ledger.write("stop", NOW, {})
        store.ledger.write("stop", NOW, {})
    connection = sqlite3.connect(archive.file)
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        connection.execute(statement)
    connection.close()
    assert archive.verify().entries == 2


def test_a_full_disk_leaves_nothing_half_written(archive: Archive) -> None:
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        before = store.ledger.size()
        full(store, 2)
        written, errors = 0, []
        for _ in range(40):
            try:
                archive.chunk(store, ring, rows=200)
                written += 1
            except RetentiondError as error:
                errors.append(error)
                break
        assert [type(error) for error in errors] == [EvidenceError]
        assert "SQLITE_FULL" in str(errors[0])
        assert store.ledger.size() == len(list(store.ledger.leaves())) <= before + 2 * written + 1
        with pytest.raises(EvidenceError):
            store.ledger.write("stop", archive.now, {"why": "x" * 20_000})
        full(store, 10_000)
        assert store.ledger.write("stop", archive.now, {}) == store.ledger.size() - 1
    left = archive.rows_of("SELECT count(*) FROM intents WHERE outcome IS NULL")[0][0]
    assert archive.verify().open_batches == left
    assert archive.rows_of("SELECT count(*) FROM token_lists") == archive.rows_of("SELECT count(*) FROM intents")


def test_a_file_that_can_no_longer_be_written_is_said_to_be_broken(archive: Archive) -> None:
    with archive.open() as (store, _):
        store.ledger.write("stop", NOW, {})
        with store.ledger._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(EvidenceError) as caught:
            store.ledger.write("stop", NOW, {})
        assert caught.value.code == "state-broken"
        with store.ledger._writer.connect() as connection, pytest.raises(EvidenceError):
            store.ledger.append(connection, "stop", NOW, {})


def test_a_damaged_head_stops_everything(archive: Archive) -> None:
    archive.fill(1)
    for value in ("x'00'", "'text'", "x''"):
        archive.tamper(f"UPDATE ledger_head SET frontier = {value}")
        with archive.open() as (store, _):
            with pytest.raises(EvidenceError) as caught:
                store.ledger.write("stop", archive.now, {})
            assert caught.value.code == "ledger-damaged"


APPENDING = """
import sys
from datetime import UTC, datetime
from retentiond.state.store import open_store
with open_store(sys.argv[1], create=True) as store:
    for number in range(60):
        store.ledger.write("stop", datetime.now(UTC), {"of": sys.argv[2], "number": number})
"""


def test_processes_that_append_at_once_take_turns(archive: Archive) -> None:
    with archive.open():
        pass
    at_once = [subprocess.Popen([sys.executable, "-c", APPENDING, archive.url, str(name)]) for name in range(3)]
    assert [process.wait(60) for process in at_once] == [0, 0, 0]
    with open_store(archive.url, create=False) as store:
        said = [(entry["of"], entry["number"]) for entry in store.ledger.entries()]
    assert len(said) == 180
    for name in "012":
        assert [number for of, number in said if of == name] == list(range(60))
    assert archive.verify().entries == 180


def test_tokens_are_kept_as_they_were_given(archive: Archive) -> None:
    lists = [TokenList("crm.b", "h1", "tokens-2026-0a1b2c3d", b""), TokenList(TABLE, "a1", "k", b"a" * 16 + b"b" * 16)]
    with archive.open() as (store, _):
        with store.ledger._writer.begin() as connection:
            store.ledger.put_tokens(connection, "one", lists, NOW)
        assert store.ledger.tokens_of("one") == lists
        assert store.ledger.tokens_of("two") == []
        with pytest.raises(ValueError, match="sorted"), store.ledger._writer.begin() as connection:
            store.ledger.put_tokens(connection, "two", [TokenList(TABLE, "a1", "k", b"b" * 16 + b"a" * 16)], NOW)
        with pytest.raises(EvidenceError), store.ledger._writer.begin() as connection:
            store.ledger.put_tokens(connection, "one", lists, NOW)


def test_a_checkpoint_is_signed_once_for_each_size(archive: Archive) -> None:
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        first = archive.sign(store, ring)
        assert archive.sign(store, ring) == first == archive.copy()
        archive.chunk(store, ring)
        second = archive.sign(store, ring)
        assert second != first
        assert archive.copy() == second
        assert store.ledger.is_signed()
        assert stat.S_IMODE(archive.copies.stat().st_mode) == 0o700
        assert (archive.copies / "ledger.pub").read_text() == (archive.keys / "ledger.pub").read_text()
        assert sorted(path.name for path in archive.copies.iterdir()) == [f"{store.identity}.checkpoint", "ledger.pub"]
    assert archive.rows_of("SELECT count(*) FROM checkpoints") == [(2,)]
    found = archive.verify()
    assert (found.unsigned, found.checkpoint and found.checkpoint.size) == (0, found.entries)


def test_a_checkpoint_without_a_second_place_is_one_all_the_same(archive: Archive) -> None:
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        note = store.ledger.checkpoint(ring, None, archive.now)
        assert archive.copy() is None
        assert archive.sign(store, ring) == note == archive.copy()


def test_a_copy_that_a_crash_prevented_is_made_up_for(archive: Archive) -> None:
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        archive.sign(store, ring)
        archive.chunk(store, ring)
        note = store.ledger.checkpoint(ring, None, archive.now)  # as if it ended before the copy
        assert archive.copy() != note
        store.ledger.check_copy(ring, archive.copies)
        assert archive.sign(store, ring) == note == archive.copy()


def test_a_key_of_another_ledger_stays_in_the_second_place(archive: Archive, tmp_path: Path) -> None:
    other = Archive(tmp_path / "other")
    other.folder.mkdir()
    for one in (archive, other):
        with one.open() as (store, ring):
            store.ledger.checkpoint(ring, archive.copies, NOW)
    there = (archive.copies / "ledger.pub").read_text().splitlines()
    assert there == [(one.keys / "ledger.pub").read_text().strip() for one in (archive, other)]


def taken_back(archive: Archive) -> None:
    """The state store of before the last chunk, put back over the newer one."""
    old = archive.folder / "old.db"
    archive.fill(2)
    shutil.copy(archive.file, old)
    archive.fill(2)
    shutil.copy(old, archive.file)


def refusals(archive: Archive) -> list[EvidenceError]:
    """What looking, signing and verifying say."""
    found = []
    with archive.open() as (store, ring):
        for act in (
            lambda: store.ledger.check_copy(ring, archive.copies),
            lambda: store.ledger.checkpoint(ring, archive.copies, archive.tick()),
            archive.verify,
        ):
            with pytest.raises(EvidenceError) as caught:
                act()
            found.append(caught.value)
    return found


def test_a_ledger_that_was_taken_back_is_not_signed(archive: Archive) -> None:
    taken_back(archive)
    copy = archive.copy()
    assert [error.code for error in refusals(archive)] == ["ledger-rolled-back"] * 3
    assert archive.copy() == copy


def test_nor_is_one_that_went_another_way(archive: Archive) -> None:
    taken_back(archive)
    copy = archive.copy()
    with archive.open() as (store, ring):
        for _ in range(4):
            archive.chunk(store, ring, rows=3)
    assert [error.code for error in refusals(archive)] == ["ledger-rolled-back"] * 2 + ["ledger-damaged"]
    assert archive.copy() == copy


def test_nor_one_that_was_lost_and_made_anew(archive: Archive) -> None:
    archive.fill(2)
    copy = archive.copy()
    for file in archive.folder.glob("state.db*"):
        if file.is_file():
            file.unlink()
    assert [error.code for error in refusals(archive)] == ["ledger-rolled-back"] * 3
    assert archive.copy() == copy


@pytest.mark.parametrize("copy", ["", "nonsense", "retentiond/x\n1\nAAAA\n\n— x AAAAAAAA\n"])
def test_a_copy_that_does_not_verify_stops_the_ledger(archive: Archive, copy: str) -> None:
    archive.fill(2)
    next(archive.copies.glob("*.checkpoint")).write_text(copy, encoding="utf-8")
    codes = [error.code for error in refusals(archive)] if copy else ["ledger-rolled-back"]
    assert codes[0] == "ledger-rolled-back"
    if not copy:
        with archive.open() as (store, ring), pytest.raises(EvidenceError) as caught:
            store.ledger.check_copy(ring, archive.copies)
        assert caught.value.code == "ledger-rolled-back"


def test_leaves_that_were_changed_under_the_tree_are_not_signed(archive: Archive) -> None:
    archive.fill(2)
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
    leaf = archive.rows_of("SELECT leaf FROM ledger ORDER BY seq DESC LIMIT 1")[0][0]
    changed = leaf.replace(b'"destroyed"', b'"aborted"')
    archive.tamper(("UPDATE ledger SET leaf = ?, hash = ? WHERE leaf = ?", (changed, leaf_hash(changed), leaf)))
    codes = [error.code for error in refusals(archive)]
    assert codes == ["ledger-damaged"] * 3


def test_a_lost_row_of_a_checkpoint_does_not_hide_what_was_signed(archive: Archive) -> None:
    archive.fill(4)
    archive.tamper("DELETE FROM checkpoints", "UPDATE ledger_head SET clock = NULL")
    with archive.open() as (store, ring):
        store.ledger.check_copy(ring, archive.copies)
        archive.chunk(store, ring)
        archive.sign(store, ring)
    assert archive.verify().unsigned == 0


def test_a_wrong_frontier_beside_a_checkpoint_is_no_way_around(archive: Archive) -> None:
    archive.fill(4)
    archive.tamper("UPDATE checkpoints SET frontier = x'00'")
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        archive.sign(store, ring)
    assert archive.verify().unsigned == 0


def test_a_second_place_that_cannot_be_used_is_said(archive: Archive) -> None:
    archive.copies.write_text("a file where the folder should be")
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        with pytest.raises(EvidenceError) as caught:
            archive.sign(store, ring)
    assert caught.value.code == "checkpoint-copy"


def test_a_copy_that_may_not_be_on_the_disk_is_an_error(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    archive.fill(1)
    before = archive.copy()
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(EvidenceError) as caught:
                archive.sign(store, ring)
        assert caught.value.code == "checkpoint-copy"
        assert archive.copy() == before
        assert archive.sign(store, ring) == archive.copy() != before


def test_a_second_place_that_another_process_holds_is_waited_for(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "LOCK_SECONDS", 0.05)
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        with signing.Copy(archive.copies, "x").alone(), pytest.raises(TransientError) as caught:
            archive.sign(store, ring)
        assert caught.value.code == "checkpoint-busy"
        archive.sign(store, ring)


def test_an_export_ends_with_the_newest_checkpoint(archive: Archive) -> None:
    archive.fill()
    with archive.open() as (store, ring):
        known = ring.verifiers()
        lines = list(store.ledger.export())
        assert verify_export(lines, known, archive.copy()).entries == store.ledger.size()
        assert [line[:-1] for line in lines[:-1]] == list(store.ledger.leaves())
        archive.chunk(store, ring)
        assert not store.ledger.is_signed()
        assert list(store.ledger.export()) == lines
    with open_store(f"sqlite:///{archive.folder}/none.db", create=False) as store:
        assert list(store.ledger.export()) == []
        assert not store.ledger.is_signed()
