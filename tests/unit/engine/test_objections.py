"""What single guards say, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from retentiond.catalog.roles import Role
from retentiond.engine.guard_clock import jump, reading
from retentiond.engine.guard_objection import Objection
from retentiond.engine.guard_source import identity_objections, role_objections
from retentiond.state.control import ClockNote
from retentiond.state.pins import Pin

AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wall", "uptime", "seconds"),
    [(3600, 3600, 0), (7200, 3600, 3600), (0, 3600, -3600), (3600 - 86400, 3600, -86400)],
)
def test_by_how_much_it_jumped(wall: int, uptime: int, seconds: int) -> None:
    before = ClockNote(AT, 50.0, "boot")
    after = ClockNote(AT + timedelta(seconds=wall), 50.0 + uptime, "boot")
    assert jump(before, after) == timedelta(seconds=seconds)


def test_after_a_restart_nobody_knows() -> None:
    assert jump(ClockNote(AT, 50.0, "one"), ClockNote(AT + timedelta(days=400), 1.0, "two")) == timedelta(0)
    assert jump(None, ClockNote(AT, 1.0, "two")) == timedelta(0)


def test_this_machine_tells_how_long_it_has_been_up() -> None:
    first, second = reading(AT), reading(AT)
    assert first is not None
    assert second is not None
    assert first.boot == second.boot
    assert 0 < first.uptime <= second.uptime


PIN = Pin("crm", "4711/5", "db:5432/crm")


@pytest.mark.parametrize(
    ("identity", "address", "words"),
    [
        ("4711/5", "db:5432/crm", []),
        ("4711/6", "db:5432/crm", ["identity differs"]),
        (None, "copy:5432/crm", ["identity differs"]),
        ("4711/5", "copy:5432/crm", ["reached elsewhere", "copy:5432/crm"]),
        ("4711/6", "copy:5432/crm", ["identity differs", "its address (db:5432/crm before, copy:5432/crm now)"]),
    ],
)
def test_which_of_the_two_differs(identity: str | None, address: str, words: list[str]) -> None:
    found = list(identity_objections(PIN, "crm", identity, address))
    assert [one.guard for one in found] == (["identity"] if words else [])
    assert all(word in one.message and one.approvable for word in words for one in found)
    assert list(identity_objections(None, "crm", identity, address)) == []


def test_a_file_without_its_fence_was_restored() -> None:
    (found,) = identity_objections(PIN, "crm", None, "db:5432/crm")
    assert (found.guard, found.approvable) == ("restore", False)


@pytest.mark.parametrize(
    ("role", "blind", "accepted", "names"),
    [
        (Role("r"), False, (), []),
        (Role("r", superuser=True), False, (), ["superuser"]),
        (Role("r", superuser=True, owned=("t",)), False, (), ["superuser", "owner"]),
        (Role("r", superuser=True, owned=("t",)), False, ("superuser",), []),
        (Role("r", superuser=True, owned=("t",)), False, ("owner",), ["superuser"]),
        (Role("r", owned=("t",)), False, (), ["owner"]),
        (Role("r", owned=("t",)), False, ("owner",), []),
        (Role("r"), True, ("owner", "superuser"), ["blind-role"]),
        (Role("r"), True, ("blind-role",), []),
    ],
)
def test_who_is_more_than_a_guest(role: Role, blind: bool, accepted: tuple[str, ...], names: list[str]) -> None:
    found = list(role_objections("crm", role, accepted, blind=blind))
    assert [one.guard for one in found] == names
    assert not any(one.approvable for one in found)


def test_an_objection_says_what_to_do() -> None:
    error = Objection("clock", "it jumped", "set it right").error()
    assert (error.code, str(error)) == ("clock", "it jumped (set it right)")
