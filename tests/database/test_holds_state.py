"""Holds in the state store: sealed, vouched for by the ledger, released by who may, and never by a changed line."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from retentiond.errors import EvidenceError, RefusedError, RetentiondError, UsageError
from retentiond.state.holds import Hold, NewHold
from retentiond.state.keys import KeyRing
from retentiond.state.store import Store, open_store
from retentiond.state.values import Person

NOW = datetime(2026, 11, 22, 1, tzinfo=UTC)
ONE, TWO, NOBODY = Person("anna", 1001), Person("bert", 1002), Person("root", None)
SECRET = "Zq3-held-person-5521"
HOLD = NewHold("proceedings", "subject", "case Zq3", date(2027, 1, 1), "shop", "customer", ids=(SECRET, "Ωmega 2"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/state.db", create=True) as opened:
        yield opened


def ring(store: Store, folder: Path) -> KeyRing:
    return KeyRing(folder / "keys", store.keys, lambda: NOW)


def add(store: Store, folder: Path, hold: NewHold = HOLD, now: datetime = NOW) -> str:
    return store.holds.add(hold, ring(store, folder).sealer(), by=ONE, now=now)


def change(folder: Path, statement: str, *values: object) -> None:
    """What somebody does who can write to the file."""
    connection = sqlite3.connect(folder / "state.db")
    with connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


def test_a_hold_is_what_was_said(store: Store, tmp_path: Path) -> None:
    hold_id = add(store, tmp_path)
    (hold,) = store.holds.active(ring(store, tmp_path))
    assert hold == Hold(
        id=hold_id,
        kind="proceedings",
        scope="subject",
        policy="shop",
        subject_type="customer",
        record=None,
        source=None,
        matter="case Zq3",
        review=date(2027, 1, 1),
        added_at=NOW,
        added_by="anna",
        count=2,
        ids=(SECRET, "Ωmega 2"),
    )
    (listed,) = store.holds.all()
    assert listed.ids == ()
    assert SECRET not in repr(hold)
    assert not hold.overdue(date(2027, 1, 1))
    assert hold.overdue(date(2027, 1, 2))


def test_nobody_reads_who_is_held(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path)
    add(store, tmp_path)
    store.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert SECRET.encode() not in content
            assert hashlib.sha256(SECRET.encode()).digest() not in content
            assert hashlib.sha256(SECRET.encode()).hexdigest().encode() not in content
    connection = sqlite3.connect(tmp_path / "state.db")
    sealed = [bytes(row[0]) for row in connection.execute("SELECT sealed FROM hold_ids")]
    connection.close()
    assert len(set(sealed)) == 4  # the same person twice looks like two


def test_the_ledger_says_that_there_is_a_hold_and_not_what_it_is_called(store: Store, tmp_path: Path) -> None:
    hold_id = add(store, tmp_path)
    store.holds.release(hold_id, by=TWO, now=NOW + timedelta(days=1), four_eyes=False)
    added, released = [entry for entry in store.ledger.entries() if entry["kind"] == "hold"]
    assert {name: added[name] for name in added.keys() - {"seq", "time", "kind"}} == {
        "event": "added",
        "hold": hold_id,
        "hold_kind": "proceedings",
        "scope": "subject",
        "policy": "shop",
        "subject_type": "customer",
        "record": None,
        "source": None,
        "subjects": 2,
        "matter": hashlib.sha256(b"case Zq3").hexdigest(),
        "review": "2027-01-01",
        "by": "anna",
        "login_uid": 1001,
    }
    assert (released["event"], released["by"]) == ("released", "bert")


def test_each_change_tells_who_is_at_work_to_ask_again(store: Store, tmp_path: Path) -> None:
    assert store.control.epoch() == 0
    hold_id = add(store, tmp_path)
    assert store.control.epoch() == 1
    store.holds.release(hold_id, by=TWO, now=NOW, four_eyes=False)
    assert store.control.epoch() == 2
    assert store.holds.active(ring(store, tmp_path)) == ()


def test_two_people_release_a_hold(store: Store, tmp_path: Path) -> None:
    hold_id = add(store, tmp_path)
    with pytest.raises(RefusedError) as unknown:
        store.holds.release(hold_id, by=NOBODY, now=NOW, four_eyes=True)
    assert unknown.value.code == "unknown-person"
    assert store.holds.release(hold_id, by=ONE, now=NOW, four_eyes=True) is False
    assert store.control.epoch() == 1
    (hold,) = store.holds.active(ring(store, tmp_path))
    assert hold.release_asked_by == ONE
    with pytest.raises(RefusedError) as same:
        store.holds.release(hold_id, by=Person("another name", 1001), now=NOW, four_eyes=True)
    assert same.value.code == "same-person"
    assert store.holds.release(hold_id, by=TWO, now=NOW, four_eyes=True) is True
    assert store.holds.active(ring(store, tmp_path)) == ()
    assert [entry["event"] for entry in store.ledger.entries() if entry["kind"] == "hold"] == [
        "added",
        "release-requested",
        "released",
    ]


def test_a_hold_is_released_once(store: Store, tmp_path: Path) -> None:
    hold_id = add(store, tmp_path)
    with pytest.raises(UsageError, match="there is no hold"):
        store.holds.release("another", by=ONE, now=NOW, four_eyes=False)
    store.holds.release(hold_id, by=ONE, now=NOW, four_eyes=False)
    with pytest.raises(UsageError, match="released before"):
        store.holds.release(hold_id, by=ONE, now=NOW, four_eyes=False)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE holds SET released_at = '2026-11-22T01:00:00.000000Z', released_by = 'x'",
        "UPDATE holds SET released_at = '2026-11-22T01:00:00.000000Z', released_by = 'x', released_leaf = leaf",
        "UPDATE holds SET released_at = '2026-11-22T01:00:00.000000Z', released_by = 'x', released_leaf = 999",
    ],
)
def test_a_line_in_the_table_releases_nothing(store: Store, tmp_path: Path, statement: str) -> None:
    add(store, tmp_path)
    change(tmp_path, statement)
    assert len(store.holds.active(ring(store, tmp_path))) == 1


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE holds SET policy = 'other'", ()),
        ("UPDATE holds SET subject_type = 'other'", ()),
        ("UPDATE holds SET scope = 'source', source = 'crm'", ()),
        ("UPDATE holds SET leaf = 999", ()),
        ("UPDATE holds SET kind = 'authority'", ()),
        ("DELETE FROM hold_ids WHERE number = 1", ()),
        ("DELETE FROM hold_ids", ()),
        ("UPDATE hold_ids SET sealed = (SELECT sealed FROM hold_ids WHERE number = 1)", ()),
        ("UPDATE hold_ids SET sealed = ?", (b"x" * 60,)),
    ],
)
def test_a_hold_that_somebody_changed_stops_everything(
    store: Store, tmp_path: Path, statement: str, values: tuple[object, ...]
) -> None:
    add(store, tmp_path)
    change(tmp_path, statement, *values)
    with pytest.raises(RetentiondError) as stopped:
        store.holds.active(ring(store, tmp_path))
    assert isinstance(stopped.value, EvidenceError) or stopped.value.code == "key"


def test_a_hold_that_somebody_removed_is_missed(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path)
    add(store, tmp_path)
    store.holds.check_all_there()
    change(tmp_path, "DELETE FROM hold_ids WHERE hold_id = (SELECT min(id) FROM holds)")
    change(tmp_path, "DELETE FROM holds WHERE id = (SELECT min(id) FROM holds)")
    with pytest.raises(EvidenceError) as stopped:
        store.holds.check_all_there()
    assert stopped.value.code == "hold-damaged"


def test_without_the_key_nobody_can_say_who_is_held(store: Store, tmp_path: Path) -> None:
    hold_id = add(store, tmp_path)
    (tmp_path / "keys" / "seal.key").unlink()
    with pytest.raises(RefusedError) as refused:
        store.holds.active(ring(store, tmp_path))
    assert refused.value.code == "missing-key"
    assert [hold.id for hold in store.holds.all()] == [hold_id]
    store.holds.release(hold_id, by=ONE, now=NOW, four_eyes=False)
    assert store.holds.active(ring(store, tmp_path)) == ()


def test_a_hold_without_ids_needs_no_key(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/state.db", create=True) as store:
        add(store, tmp_path, NewHold("authority", "source", "x", date(2027, 1, 1), source="crm"))
    (tmp_path / "keys" / "seal.key").unlink()
    with open_store(f"sqlite:///{tmp_path}/state.db", create=False) as store:
        (hold,) = store.holds.active(KeyRing(tmp_path / "keys", store.keys))
    assert (hold.on, hold.count) == ("source crm", 0)


def test_a_store_that_is_only_read_or_not_there(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/state.db", create=False) as store:
        assert store.holds.all() == ()
        assert store.holds.active(KeyRing(tmp_path / "keys", store.keys)) == ()
    with open_store(f"sqlite:///{tmp_path}/state.db", create=True) as writing:
        sealer = ring(writing, tmp_path).sealer()
        add(writing, tmp_path)
        with open_store(f"sqlite:///{tmp_path}/state.db", create=False) as store, pytest.raises(UsageError):
            store.holds.add(HOLD, sealer, by=ONE, now=NOW)


def test_a_hold_is_placed_though_the_clock_went_back(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path)
    add(store, tmp_path, now=NOW - timedelta(days=400))
    assert len(store.holds.active(ring(store, tmp_path))) == 2
