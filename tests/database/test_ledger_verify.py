"""What somebody who may write to the state store's file can do to its ledger, and that it is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retentiond.errors import EvidenceError, RetentiondError
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.leaf import canonical
from retentiond.state.ledger.tree import Frontier, leaf_hash
from retentiond.state.store import open_store
from tests.database.evidence import TABLE, Archive

# Not verified, because nothing rests on it: hints for speed, and when a row was written.
UNCHECKED = {
    "checkpoints": {"frontier", "written_at"},
    "token_lists": {"made_at"},
    "ledger_head": {"last_time", "clock", "id"},
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A ledger that everything was well with, to be copied."""
    archive = Archive(tmp_path_factory.mktemp("filled"))
    archive.fill()
    return archive


@pytest.fixture
def archive(filled: Archive, tmp_path: Path) -> Archive:
    folder = tmp_path / "archive"
    shutil.copytree(filled.folder, folder)
    return Archive(folder, filled.now, filled.batches, filled.rows)


def complaint(archive: Archive, copy: str | None = None) -> EvidenceError:
    with pytest.raises(EvidenceError) as caught:
        archive.verify(copy)
    return caught.value


def leaves_of(archive: Archive) -> list[bytes]:
    return [leaf for (leaf,) in archive.rows_of("SELECT leaf FROM ledger ORDER BY seq")]


def rewrite(archive: Archive, leaves: list[bytes]) -> None:
    """Puts these leaves in place of those that are there, as carefully as somebody without the key can."""
    frontier = Frontier().extend(map(leaf_hash, leaves))
    rows = [(seq, leaf, leaf_hash(leaf)) for seq, leaf in enumerate(leaves)]
    archive.tamper(
        "DELETE FROM ledger",
        *(("INSERT INTO ledger (seq, leaf, hash) VALUES (?, ?, ?)", row) for row in rows),
        ("UPDATE ledger_head SET size = ?, frontier = ?", (frontier.size, frontier.to_bytes())),
    )


def index_of(archive: Archive, kind: str, **said: Any) -> int:
    for entry in map(json.loads, leaves_of(archive)):
        if entry["kind"] == kind and said.items() <= entry.items():
            return int(entry["seq"])
    raise AssertionError(kind)


def test_an_untouched_ledger_verifies(archive: Archive) -> None:
    found = archive.verify()
    assert (found.unsigned, found.open_batches) == (0, 0)
    assert found.entries == len(leaves_of(archive))
    assert found.checkpoint is not None
    assert found.checkpoint.size == found.entries


def test_the_leaf_that_was_changed_is_named(archive: Archive) -> None:
    for seq, leaf in enumerate(leaves_of(archive)):
        place = len(leaf) // 2
        turned = leaf[:place] + bytes([leaf[place] ^ 1]) + leaf[place + 1 :]
        archive.tamper(("UPDATE ledger SET leaf = ? WHERE seq = ?", (turned, seq)))
        assert complaint(archive).message == f"entry {seq} of the ledger is wrong: not what was appended"
        archive.tamper(("UPDATE ledger SET leaf = ? WHERE seq = ?", (leaf, seq)))
    archive.verify()


def test_the_first_of_several_is_named(archive: Archive) -> None:
    archive.tamper(
        "UPDATE ledger SET leaf = CAST('{}' AS BLOB) WHERE seq IN (4, 9)", "DELETE FROM ledger WHERE seq = 7"
    )
    assert complaint(archive).message.startswith("entry 4 of the ledger")


def test_a_leaf_that_was_removed_is_named(archive: Archive) -> None:
    archive.tamper("DELETE FROM ledger WHERE seq = 5")
    assert complaint(archive).message == "entry 5 of the ledger is wrong: missing"


def test_so_is_the_last_one(archive: Archive) -> None:
    last = len(leaves_of(archive)) - 1
    archive.tamper(f"DELETE FROM ledger WHERE seq = {last}")
    assert complaint(archive).message == f"entry {last} of the ledger is missing, of {last + 1}"


def test_leaves_that_changed_places_are_named(archive: Archive) -> None:
    leaves = leaves_of(archive)
    leaves[4], leaves[6] = leaves[6], leaves[4]
    rewrite(archive, leaves)
    assert complaint(archive).message == "entry 4 of the ledger is wrong: not the number that comes next"


def test_a_careful_change_is_placed_between_two_checkpoints(archive: Archive) -> None:
    sizes = [size for (size,) in archive.rows_of("SELECT size FROM checkpoints ORDER BY size")]
    leaves = leaves_of(archive)
    at = index_of(archive, "intent", batch="batch-4")
    below = max(size for size in sizes if size <= at)
    above = min(size for size in sizes if size > at)
    entry = json.loads(leaves[at])
    leaves[at] = canonical({**entry, "plan": "e" * 64})
    rewrite(archive, leaves)
    assert complaint(archive).message == (
        f"the entries {below} to {above - 1} are not those that were signed: at least one of them was changed"
    )


def test_a_ledger_cut_short_with_all_care_is_shown_by_what_was_signed(archive: Archive) -> None:
    leaves = leaves_of(archive)
    at = index_of(archive, "intent", batch="batch-6")
    rewrite(archive, leaves[:at])
    archive.tamper("DELETE FROM intents WHERE batch = 'batch-6'", "DELETE FROM token_lists WHERE batch = 'batch-6'")
    told = f"the ledger was taken back: {len(leaves)} entries were signed, {at} are there"
    assert complaint(archive).message == told
    archive.tamper(("DELETE FROM checkpoints WHERE size > ?", (at,)))
    assert complaint(archive).message == told
    next(archive.copies.glob("*.checkpoint")).unlink()
    assert archive.verify().entries == at  # what is signed nowhere else, nobody can know of


def test_an_older_state_of_everything_is_shown_by_the_second_place(archive: Archive, tmp_path: Path) -> None:
    old = Archive(tmp_path / "old")
    shutil.copytree(archive.folder, old.folder)
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
        archive.sign(store, ring)
    assert old.verify().unsigned == 0
    copy = archive.copy()
    assert copy is not None
    error = complaint(old, copy)
    assert error.code == "ledger-rolled-back"
    assert "were signed" in error.message


def test_two_checkpoints_of_one_size_contradict_each_other(archive: Archive, tmp_path: Path) -> None:
    fork = Archive(tmp_path / "fork", archive.now, archive.batches, archive.rows)
    shutil.copytree(archive.folder, fork.folder)
    for one, rows in ((archive, 3), (fork, 4)):
        with one.open() as (store, ring):
            one.chunk(store, ring, rows=rows)
            one.sign(store, ring)
    copy = fork.copy()
    assert copy is not None
    assert complaint(archive, copy).code == "ledger-rolled-back"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE token_lists SET tokens = zeroblob(80) WHERE batch = 'batch-3'", "ledger-tokens"),
        ("UPDATE token_lists SET tokens = 'text' WHERE batch = 'batch-3'", "ledger-tokens"),
        ("UPDATE token_lists SET tokens = substr(tokens, 1, 64) WHERE batch = 'batch-3'", "ledger-tokens"),
        ("UPDATE token_lists SET scheme = 'h1' WHERE batch = 'batch-3'", "ledger-tokens"),
        ("UPDATE token_lists SET key = 'tokens-2026-00000000' WHERE batch = 'batch-3'", "ledger-tokens"),
        ("UPDATE token_lists SET batch = 'other' WHERE batch = 'batch-3'", "ledger-tokens"),
        ("DELETE FROM token_lists WHERE batch = 'batch-3'", "ledger-tokens"),
        (f"INSERT INTO token_lists VALUES ('x', '{TABLE}', 'a1', 'k', x'', '2026-11-22T01:00:00Z')", "ledger-tokens"),
        ("UPDATE intents SET outcome = NULL WHERE batch = 'batch-3'", "ledger-damaged"),
        ("DELETE FROM intents WHERE batch = 'batch-open'", "ledger-damaged"),
        ("UPDATE intents SET outcome = 'destroyed' WHERE batch = 'batch-open'", "ledger-damaged"),
        ("UPDATE ledger_head SET size = size + 1", "ledger-damaged"),
        ("UPDATE ledger_head SET size = size - 1", "ledger-damaged"),
        ("UPDATE ledger_head SET frontier = zeroblob(length(frontier))", "ledger-damaged"),
        ("UPDATE ledger_head SET frontier = 'text'", "ledger-damaged"),
        ("DELETE FROM ledger_head", "ledger-damaged"),
        ("UPDATE checkpoints SET note = replace(note, 'A', 'B')", "ledger-signature"),
        ("UPDATE checkpoints SET note = x'ff'", "ledger-signature"),
        ("UPDATE checkpoints SET size = size + 100", "ledger-signature"),
        ("UPDATE ledger SET leaf = 'text' WHERE seq = 2", "ledger-damaged"),
        ("UPDATE ledger SET hash = zeroblob(32) WHERE seq = 2", "ledger-damaged"),
        ("UPDATE ledger SET seq = -seq", "ledger-damaged"),
        ("DELETE FROM ledger", "ledger-damaged"),
    ],
)  # fmt: skip
def test_whatever_is_changed_is_found(archive: Archive, statement: str, code: str) -> None:
    with archive.open() as (store, ring):
        batch = archive.chunk(store, ring, status=None, job="other/job@crm")
        archive.sign(store, ring)
    assert archive.verify().open_batches == 1
    archive.tamper(statement.replace("batch-open", batch))
    assert complaint(archive).code == code


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_of_a_row_can_be_changed(filled: Archive, tmp_path: Path, data: st.DataObject) -> None:
    archive = Archive(tmp_path / "one", filled.now)
    shutil.rmtree(archive.folder, ignore_errors=True)
    shutil.copytree(filled.folder, archive.folder)
    table = data.draw(st.sampled_from(["ledger", "ledger_head", "checkpoints", "token_lists"]))
    columns = [name for _, name, *_ in archive.rows_of(f"PRAGMA table_info({table})")]
    column = data.draw(st.sampled_from([name for name in columns if name not in UNCHECKED.get(table, set())]))
    rows = archive.rows_of(f'SELECT rowid, "{column}" FROM {table} ORDER BY rowid')
    rowid, value = data.draw(st.sampled_from(rows))
    new = data.draw(changes_of(value))
    archive.tamper((f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?', (new, rowid)))
    with pytest.raises(RetentiondError) as caught:
        archive.verify()
    assert isinstance(caught.value, EvidenceError)


def changes_of(value: Any) -> st.SearchStrategy[Any]:
    """Other values that somebody could put into its place."""
    if isinstance(value, bytes):
        at = st.integers(0, len(value) - 1)
        turned = st.tuples(at, st.integers(0, 7)).map(
            lambda change: value[: change[0]] + bytes([value[change[0]] ^ 1 << change[1]]) + value[change[0] + 1 :]
        )
        return turned | at.map(lambda end: value[:end]) | st.just(value + b"\x00") | st.just("text")
    if isinstance(value, int):
        return st.integers(1000, 2000)
    turned = st.integers(0, len(value) - 1).map(lambda at: value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :])
    return turned | st.just(value + "x") | st.just("") | st.just(b"\xff\xfe")


def test_what_the_public_key_does_not_know_does_not_verify(archive: Archive, tmp_path: Path) -> None:
    stranger = Archive(tmp_path / "stranger")
    stranger.folder.mkdir()
    stranger.fill(1)
    with open_store(archive.url, create=False) as store, pytest.raises(EvidenceError) as caught:
        store.ledger.verify(KeyRing(stranger.keys, None).verifiers(), None)
    assert caught.value.code == "ledger-signature"


def test_a_ledger_that_was_never_signed_says_so(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    with archive.open() as (store, ring):
        archive.chunk(store, ring)
    found = archive.verify()
    assert found.checkpoint is None
    assert found.unsigned == found.entries > 0


def test_an_unresolved_batch_stays_open(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    with archive.open() as (store, ring):
        archive.chunk(store, ring, status="unresolved")
        archive.chunk(store, ring, status=None, job="other/job@crm")
    assert archive.verify().open_batches == 2
    assert archive.rows_of(f"SELECT count(*) FROM token_lists WHERE \"table\" = '{TABLE}'") == [(2,)]
