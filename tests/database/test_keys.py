"""Keys: made once, noted in the ledger, never made anew, destroyed when their time is over."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retentiond.errors import EvidenceError, RefusedError, TransientError, UsageError
from retentiond.state import key_files
from retentiond.state.keys import KeyRing, keep_identity, read_verifiers, state_identities
from retentiond.state.ledger.checkpoint import open_checkpoint
from retentiond.state.ledger.tokens import token_of
from retentiond.state.store import open_store
from tests.database.evidence import NOW, Archive

SECRETS = ("token.key", "seal.key", "ledger.key", "tokens-2026.key")
FIVE_YEARS = timedelta(days=5 * 366)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def use(ring: KeyRing, file: str) -> object:
    """Takes the key of that file out of the ring."""
    if file == "token.key":
        return ring.mask_key()
    if file == "seal.key":
        return ring.sealer().open(ring.sealer().seal(b"x"))
    return [key.verifier for key in ring.signer()] if file == "ledger.key" else ring.token_key(NOW)


def key_leaves(archive: Archive) -> list[tuple[str, str, str]]:
    with open_store(archive.url, create=False) as store:
        entries = [entry for entry in store.ledger.entries() if entry["kind"] == "key"]
    return [(entry["event"], entry["purpose"], entry["key"]) for entry in entries]


def refusal(archive: Archive, file: str) -> RefusedError:
    with archive.open() as (_, ring), pytest.raises(RefusedError) as caught:
        use(ring, file)
    return caught.value


def test_each_key_is_made_once_by_who_writes(archive: Archive) -> None:
    with archive.open() as (_, ring):
        first = [use(ring, file) for file in SECRETS]
    with archive.open() as (_, ring):
        assert [use(ring, file) for file in SECRETS] == first
    made = key_leaves(archive)
    assert [(event, purpose) for event, purpose, _ in made] == [
        ("made", "mask"),
        ("made", "seal"),
        ("made", "sign"),
        ("made", "tokens"),
    ]
    assert [key[:-8] for _, _, key in made] == ["mask-", "seal-", "ledger-", "tokens-2026-"]
    assert stat.S_IMODE(archive.keys.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in archive.keys.iterdir()}
    assert modes == dict.fromkeys((*SECRETS, "state.db.identity"), 0o600) | {"ledger.pub": 0o644}
    assert len({(archive.keys / file).read_bytes() for file in SECRETS}) == 4


def test_the_umask_does_not_decide_who_reads_a_key(archive: Archive) -> None:
    before = os.umask(0)
    try:
        with archive.open() as (_, ring):
            for file in SECRETS:
                use(ring, file)
    finally:
        os.umask(before)
    assert {stat.S_IMODE((archive.keys / file).stat().st_mode) for file in SECRETS} == {0o600}


def test_nothing_of_a_key_is_in_the_state_store(archive: Archive) -> None:
    with archive.open() as (store, ring):
        for file in SECRETS:
            use(ring, file)
        archive.chunk(store, ring)
    data = b"".join(file.read_bytes() for file in archive.folder.glob("state.db*") if file.is_file())
    for file in SECRETS:
        secret = (archive.keys / file).read_bytes()
        assert secret not in data
        assert secret.hex().encode() not in data


def test_a_reader_makes_no_key(archive: Archive) -> None:
    with archive.open():
        pass
    with open_store(archive.url, create=False) as store:
        for ring in (KeyRing(archive.keys, store.keys), KeyRing(archive.keys, store.keys, lambda: NOW)):
            for file in SECRETS:
                with pytest.raises(RefusedError) as caught:
                    use(ring, file)
                assert caught.value.code == "missing-key"
        assert ring.verifiers() == ()
    assert [file.name for file in archive.keys.iterdir()] == ["state.db.identity"]


@pytest.mark.parametrize("file", SECRETS)
def test_a_key_that_was_lost_is_not_made_anew(archive: Archive, file: str) -> None:
    with archive.open() as (_, ring):
        use(ring, file)
    kept = (archive.keys / file).read_bytes()
    (archive.keys / file).unlink()
    assert refusal(archive, file).code == "missing-key"
    assert not (archive.keys / file).exists()
    (archive.keys / file).write_bytes(kept)
    (archive.keys / file).chmod(0o600)
    with archive.open() as (_, ring):
        use(ring, file)
    assert len(key_leaves(archive)) == 1


@pytest.mark.parametrize("file", SECRETS)
def test_another_key_in_its_place_is_refused(archive: Archive, file: str) -> None:
    with archive.open() as (_, ring):
        use(ring, file)
    (archive.keys / file).write_bytes(bytes(32))
    assert refusal(archive, file).code == "key"


@pytest.mark.parametrize("file", SECRETS)
@pytest.mark.parametrize("content", [b"", b"x", bytes(31), bytes(33)])
def test_a_damaged_key_is_refused(archive: Archive, file: str, content: bytes) -> None:
    with archive.open() as (_, ring):
        use(ring, file)
    (archive.keys / file).write_bytes(content)
    assert refusal(archive, file).code == "key"


@pytest.mark.parametrize("file", SECRETS)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_key_that_others_may_read_is_refused(archive: Archive, file: str, mode: int) -> None:
    with archive.open() as (_, ring):
        use(ring, file)
    (archive.keys / file).chmod(mode)
    error = refusal(archive, file)
    assert (error.code, error.hint) == ("key-readable", f"chmod 600 {archive.keys / file}")


@pytest.mark.parametrize("file", SECRETS)
def test_a_crash_between_file_and_note_is_made_up_for(archive: Archive, file: str) -> None:
    archive.keys.mkdir(mode=0o700)
    key_files.make_key(archive.keys / file)
    kept = (archive.keys / file).read_bytes()
    with archive.open() as (_, ring):
        use(ring, file)
    assert (archive.keys / file).read_bytes() == kept
    assert len(key_leaves(archive)) == 1


def test_keys_work_without_a_state_store(archive: Archive) -> None:
    ring = KeyRing(archive.keys, None, lambda: NOW)
    assert ring.mask_key() == KeyRing(archive.keys, None).mask_key()
    name, key = ring.token_key(NOW)
    assert ring.token_key_of(name) == key
    assert ring.token_years() == {}
    with pytest.raises(ValueError, match="state store"):
        ring.destroy_tokens(name, NOW)


MAKING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from retentiond.state.keys import KeyRing
from retentiond.state.store import open_store
folder = Path(sys.argv[1])
with open_store(f"sqlite:///{folder}/state.db", create=True) as store:
    ring = KeyRing(folder / "keys", store.keys, lambda: datetime.now(UTC))
    print(store.identity, ring.mask_key().hex(), ring.token_key(datetime.now(UTC)), ring.signer()[0].verifier)
    ring.sealer()
"""


def test_processes_that_start_at_once_get_the_same_keys(archive: Archive) -> None:
    command = [sys.executable, "-c", MAKING, str(archive.folder)]
    at_once = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate(timeout=60)[0] for process in at_once]
    assert [process.returncode for process in at_once] == [0] * 4
    assert len(set(answers)) == 1
    assert len(key_leaves(archive)) == 4
    assert not [file for file in archive.keys.iterdir() if file.name.startswith(".")]


def test_the_key_for_tokens_is_that_of_the_year(archive: Archive) -> None:
    with archive.open() as (_, ring):
        first = ring.token_key(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
        second = ring.token_key(datetime(2027, 1, 1, tzinfo=UTC))
        assert first[0].startswith("tokens-2026-")
        assert second[0].startswith("tokens-2027-")
        assert first[1] != second[1]
        assert (ring.token_key_of(first[0]), ring.token_key_of(second[0])) == (first[1], second[1])
        for name in ("tokens-2026-00000000", "tokens-2027-ffffffff"):
            with pytest.raises(RefusedError) as caught:
                ring.token_key_of(name)
            assert caught.value.code == "key"
        with pytest.raises(RefusedError) as caught:
            ring.token_key_of("tokens-2025-00000000")
        assert caught.value.code == "missing-key"
        for name in ("../state.db", "mask-0a1b2c3d", "tokens-2026-0a1b2c3d/..", ""):
            with pytest.raises(ValueError, match="no id"):
                ring.token_key_of(name)


def test_what_is_sealed_is_opened_by_the_same_key_only(archive: Archive, tmp_path: Path) -> None:
    with archive.open() as (_, ring):
        sealed = ring.sealer().seal(b"4711")
        assert ring.sealer().open(sealed) == b"4711"
        assert ring.sealer().seal(b"4711") != sealed
        assert b"4711" not in sealed
        other = KeyRing(tmp_path / "other", None, lambda: NOW).sealer()
        for wrong in (b"", sealed[:-1], sealed[:11], bytes([sealed[0] ^ 1]) + sealed[1:]):
            with pytest.raises(RefusedError):
                ring.sealer().open(wrong)
        with pytest.raises(RefusedError) as caught:
            other.open(sealed)
        assert caught.value.code == "key"


def test_a_rotation_is_signed_by_both_keys(archive: Archive) -> None:
    archive.fill(2)
    before = archive.copy()
    with archive.open() as (store, ring):
        (old,) = ring.signer()
        key = ring.rotate_signer(archive.tick())
        new = ring.signer()[0].verifier
        assert key == f"ledger-{new.hash.hex()}"
        both = archive.sign(store, ring)
        assert open_checkpoint(both, [old.verifier])[1] == (old.verifier,)
        assert open_checkpoint(both, [new])[1] == (new,)
        archive.chunk(store, ring)
        later = archive.sign(store, ring)
        assert open_checkpoint(later, ring.verifiers())[1] == (new,)
        assert ring.verifiers() == (old.verifier, new)
        assert len((archive.keys / "ledger.key").read_bytes()) == 32
    assert key_leaves(archive)[-1] == ("rotated", "sign", key)
    assert before is not None
    assert archive.verify(before).unsigned == 0
    assert read_verifiers(archive.copies / "ledger.pub") == (old.verifier, new)


def test_a_key_may_be_replaced_twice_before_anything_is_signed(archive: Archive) -> None:
    archive.fill(1)
    with archive.open() as (store, ring):
        ring.rotate_signer(archive.tick())
        ring.rotate_signer(archive.tick())
        note = archive.sign(store, ring)
        assert len(open_checkpoint(note, ring.verifiers(), every=True)[1]) == 3
        assert len(ring.signer()) == 1
    assert archive.verify().unsigned == 0


@pytest.mark.parametrize("noted", [True, False])
def test_a_rotation_that_was_cut_off_is_finished(archive: Archive, noted: bool) -> None:
    archive.fill(1)
    with archive.open() as (store, ring):
        if noted:
            key = ring.rotate_signer(archive.tick())
        else:
            file = archive.keys / "ledger.key"
            file.write_bytes(bytes(range(32)) + file.read_bytes())
            key = ""
        assert len(ring.signer()) == 2
        archive.sign(store, ring)
        assert len(ring.signer()) == 1
    rotated = [leaf for leaf in key_leaves(archive) if leaf[0] == "rotated"]
    assert len(rotated) == 1
    assert key in ("", rotated[0][2])
    assert archive.verify().unsigned == 0


def test_a_key_for_signatures_from_an_old_back_up_is_refused(archive: Archive) -> None:
    archive.fill(1)
    old = (archive.keys / "ledger.key").read_bytes()
    with archive.open() as (store, ring):
        ring.rotate_signer(archive.tick())
        archive.sign(store, ring)
    (archive.keys / "ledger.key").write_bytes(old)
    assert refusal(archive, "ledger.key").code == "key"


def test_the_public_key_is_published_again_where_it_was_lost(archive: Archive) -> None:
    archive.fill(1)
    public = (archive.keys / "ledger.pub").read_text()
    (archive.keys / "ledger.pub").unlink()
    with pytest.raises(EvidenceError):
        archive.verify()
    with archive.open() as (_, ring):
        ring.signer()
    assert (archive.keys / "ledger.pub").read_text() == public
    archive.verify()


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"\xff", None])
def test_what_holds_no_public_key(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ledger.pub"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_verifiers(file)
    assert caught.value.code == "public-key"


def test_tokens_are_dropped_when_their_time_is_over(archive: Archive) -> None:
    with archive.open() as (store, ring):
        old = [archive.chunk(store, ring), archive.chunk(store, ring)]
        name, key = ring.token_key(archive.now)
        still_open = archive.chunk(store, ring, status=None, job="other/job@crm")
        archive.tick(days=3 * 366)
        young = archive.chunk(store, ring)
        archive.sign(store, ring)
        assert store.ledger.prune_tokens(ring, archive.now, FIVE_YEARS) == 0
        archive.tick(days=3 * 366)
        assert store.ledger.prune_tokens(ring, archive.now, FIVE_YEARS) == 2
        assert [store.ledger.tokens_of(batch) for batch in old] == [[], []]
        assert len(store.ledger.tokens_of(still_open)) == len(store.ledger.tokens_of(young)) == 1
        entry = list(store.ledger.entries())[-1]
        assert (entry["kind"], entry["batches"], entry["lists"]) == ("prune", 2, 2)
        assert store.ledger.prune_tokens(ring, archive.now, FIVE_YEARS) == 0
        assert ring.token_key_of(name) == key  # the open batch needs it
    assert archive.verify().entries == entry["seq"] + 1
    archive.tamper("DELETE FROM token_lists WHERE batch = 'batch-4'")
    with pytest.raises(EvidenceError) as caught:
        archive.verify()
    assert caught.value.code == "ledger-tokens"


def test_the_key_of_a_year_goes_with_its_last_token(archive: Archive) -> None:
    with archive.open() as (store, ring):
        archive.chunk(store, ring, rows=1)
        (tokens,) = store.ledger.tokens_of("batch-1")
        name, key = ring.token_key(archive.now)
        assert token_of(key, tokens.scheme, "crm", "", "customers", (0,)) == tokens.tokens
        file = archive.keys / "tokens-2026.key"
        inode = os.open(file, os.O_RDONLY)
        archive.now = datetime(2031, 12, 30, tzinfo=UTC)
        assert store.ledger.prune_tokens(ring, archive.now, FIVE_YEARS) == 1
        assert file.exists()  # until no token of that year could be young enough
        archive.tick(days=10)
        assert store.ledger.prune_tokens(ring, archive.now, FIVE_YEARS) == 0
        assert not file.exists()
        assert os.pread(inode, 100, 0) != key
        os.close(inode)
        assert ring.token_key_of(name) is None
        assert key_leaves(archive)[-1] == ("destroyed", "tokens", name)
        size = store.ledger.size()
        assert store.ledger.prune_tokens(ring, archive.tick(), FIVE_YEARS) == 0
        assert store.ledger.size() == size
        archive.chunk(store, ring)
        archive.sign(store, ring)
    archive.verify()


def test_a_key_that_a_crash_left_behind_is_destroyed_the_next_time(archive: Archive) -> None:
    with archive.open() as (store, ring):
        name, _ = ring.token_key(archive.now)
        store.keys.destroyed(name, archive.tick())
        assert (archive.keys / "tokens-2026.key").exists()
        archive.now = datetime(2040, 1, 1, tzinfo=UTC)
        store.ledger.prune_tokens(ring, archive.now, FIVE_YEARS)
        assert not (archive.keys / "tokens-2026.key").exists()
    assert [event for event, *_ in key_leaves(archive)] == ["made", "destroyed"]


def test_keys_that_another_state_store_uses_are_not_destroyed(archive: Archive) -> None:
    with archive.open() as (store, ring):
        ring.token_key(archive.now)
        with open_store(f"sqlite:///{archive.folder}/other.db", create=True, keys=archive.keys):
            pass
        archive.now = datetime(2040, 1, 1, tzinfo=UTC)
        store.ledger.prune_tokens(ring, archive.now, FIVE_YEARS)
    assert (archive.keys / "tokens-2026.key").exists()


def test_a_state_store_that_is_made_anew_has_the_id_it_had(archive: Archive) -> None:
    with archive.open() as (store, _):
        identity = store.identity
    for file in archive.folder.glob("state.db*"):
        if file.is_file():
            file.unlink()
    with archive.open() as (store, _):
        assert store.identity == identity
        assert store.ledger.size() == 0
    with open_store(f"sqlite:///{archive.folder}/other.db", create=True, keys=archive.keys) as other:
        assert other.identity != identity


def test_an_older_state_store_writes_its_id_down(archive: Archive) -> None:
    with archive.open() as (store, _):
        identity = store.identity
    (archive.keys / "state.db.identity").unlink()
    with archive.open() as (store, _):
        assert (store.identity,) == (identity,) == state_identities(archive.keys, "state.db")


def test_the_keys_of_another_state_store_are_refused(archive: Archive, tmp_path: Path) -> None:
    other = Archive(tmp_path / "other")
    other.folder.mkdir()
    for one in (archive, other):
        with one.open():
            pass
    shutil.copy(other.keys / "state.db.identity", archive.keys / "state.db.identity")
    with pytest.raises(RefusedError) as caught, archive.open():
        pass
    assert caught.value.code == "state-identity"
    (archive.keys / "state.db.identity").write_text("nonsense")
    with pytest.raises(RefusedError) as caught, archive.open():
        pass
    assert caught.value.code == "key"


def test_keys_lie_beside_the_state_store_unless_told_otherwise(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/state.db", create=True).close()
    assert len(state_identities(tmp_path / "keys", "state.db")) == 1
    keep_identity(tmp_path / "keys", "state.db", "5f0e3c1a-0000-4000-8000-000000000001")
    with open_store(f"sqlite:///{tmp_path}/state.db", create=True) as store:
        assert store.identity != "5f0e3c1a-0000-4000-8000-000000000001"  # what is there stays


def test_a_folder_that_nothing_can_be_written_to_is_said(archive: Archive) -> None:
    archive.keys.write_text("a file where the folder should be")
    with pytest.raises((UsageError, RefusedError)), archive.open():
        pass
    with pytest.raises(UsageError) as caught:
        KeyRing(archive.keys, None, lambda: NOW).mask_key()
    assert caught.value.code == "keys-unwritable"


def failing(_descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_key_that_may_not_be_on_the_disk_is_none(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    with archive.open() as (_, ring):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            for file in SECRETS:
                with pytest.raises(UsageError) as caught:
                    use(ring, file)
                assert caught.value.code == "keys-unwritable"
        assert [file.name for file in archive.keys.iterdir()] == ["state.db.identity"]
        assert key_leaves(archive) == []
        ring.signer()
        before = (archive.keys / "ledger.key").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(UsageError):
                ring.rotate_signer(NOW)
        assert (archive.keys / "ledger.key").read_bytes() == before
        assert len(ring.signer()) == 1


def test_a_folder_that_another_process_works_on_is_waited_for(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_files, "LOCK_SECONDS", 0.05)
    with archive.open() as (_, ring):
        with key_files.folder_alone(archive.keys), pytest.raises(TransientError) as caught:
            ring.signer()
        assert caught.value.code == "keys-busy"
        ring.signer()
