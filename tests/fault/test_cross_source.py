"""
Rows of two databases that go together: the documents lie in another source than the contracts they belong to.

There is one intent with two fences. Children commit first, so that what a crash between the two commits leaves is a
parent without some of its children, which goes with the next run; what went is recorded, and nothing else.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random

import pytest

from tests.fault.arena import Arena
from tests.fault.orders import Fault
from tests.fault.trials import NOT_NOW, POINTS, finish, start
from tests.fault.victims import Nursery

Arenas = Callable[..., Arena]

PAIRS = [
    pytest.param("postgresql", "mariadb", marks=[pytest.mark.postgresql, pytest.mark.mariadb]),
    pytest.param("sqlite", "postgresql", marks=pytest.mark.postgresql),
]
# Each step that is taken once per source is reached twice in a chunk.
TWICE = ("fence.before", "fence.after", "commit.before", "commit.after")
BETWEEN = [(point, nth) for point in POINTS for nth in ((3, 4) if point in TWICE else (2,))]
COMMITS = [(point, nth) for point in ("commit.before", "commit.after") for nth in (3, 4)]
EXTENTS = [
    pytest.param(COMMITS[2:], id="commits"),
    pytest.param(BETWEEN, marks=pytest.mark.long, id="every-point"),
]


@pytest.mark.parametrize("plays", EXTENTS)
@pytest.mark.parametrize(("near", "far"), PAIRS)
def test_killed_between_two_commits(
    near: str, far: str, plays: list[tuple[str, int]], arenas: Arenas, nursery: Nursery
) -> None:
    arena = _two(arenas, near, far)
    for point, nth in plays:
        arena.add_due(6, 2, 2)
        victim = start(arena, nursery, Fault("kill", point, nth), rules=["shop/customers"])
        assert victim.wait() == -signal.SIGKILL, victim.story()
        assert victim.fired()
        if (point, nth) in (("commit.after", 3), ("commit.before", 4)):
            assert _halves(arena), "one source has committed and the other has not"
        finish(arena, nursery, victim)


@pytest.mark.parametrize("plays", EXTENTS)
@pytest.mark.parametrize(("near", "far"), PAIRS)
def test_an_error_between_two_commits(
    near: str, far: str, plays: list[tuple[str, int]], arenas: Arenas, nursery: Nursery
) -> None:
    arena = _two(arenas, near, far)
    for point, nth in plays:
        arena.add_due(6, 2, 2)
        victim = start(arena, nursery, Fault("raise", point, nth), rules=["shop/customers"])
        assert victim.wait() in (0, 1), victim.story()
        assert victim.fired()
        finish(arena, nursery, victim)


@pytest.mark.parametrize("plays", EXTENTS)
@pytest.mark.parametrize(("near", "far"), PAIRS)
def test_frozen_between_two_commits_while_another_runs(
    near: str, far: str, plays: list[tuple[str, int]], arenas: Arenas, nursery: Nursery
) -> None:
    arena = _two(arenas, near, far)
    for point, nth in plays:
        arena.add_due(6, 2, 2)
        frozen = start(arena, nursery, Fault("stop", point, nth), rules=["shop/customers"])
        assert frozen.wait_frozen(), frozen.story()
        other = start(arena, nursery, rules=["shop/customers"])
        assert other.wait(30) in NOT_NOW, other.story()
        frozen.signal(signal.SIGCONT)
        frozen.wait()
        finish(arena, nursery, frozen)


@pytest.mark.long
@pytest.mark.parametrize(("near", "far"), PAIRS)
def test_killed_again_while_settling(near: str, far: str, arenas: Arenas, nursery: Nursery) -> None:
    arena = _two(arenas, near, far)
    chance = Random(near)
    for _ in range(20):
        arena.add_due(6, 2, 2)
        victim = start(arena, nursery, Fault("kill", *chance.choice(COMMITS)))
        assert victim.wait() == -signal.SIGKILL, victim.story()
        heir = start(arena, nursery, Fault("kill", chance.choice(("settle.before", "settle.after")), 1))
        assert heir.wait() == -signal.SIGKILL, heir.story()
        finish(arena, nursery, heir)


def _two(arenas: Arenas, near: str, far: str) -> Arena:
    arena = arenas(near, far, chunk_rows=2)
    arena.add_live()
    return arena


def _halves(arena: Arena) -> set[int]:
    """Contracts without a document: each was made with one."""
    with arena.company(arena.far) as connection:
        found = connection.exec_driver_sql("SELECT contract_id FROM documents").scalars()
        return arena.ids("contracts") - set(map(int, found))
