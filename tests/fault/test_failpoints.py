"""
A run that ends, fails or freezes before and after each step of the protocol, on each engine (C01, A15).

The chunk is another one each time: three jobs make chunks, of rows with children, of rows alone, and of masks.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random

import pytest

from tests.fault.arena import Arena
from tests.fault.orders import Fault
from tests.fault.trials import ENGINES, NOT_NOW, POINTS, finish, start
from tests.fault.victims import Nursery

Arenas = Callable[..., Arena]
CHUNKS = 8  # of one run: three of customers, three of visits, two of letters
LONG = pytest.param(range(1, CHUNKS + 1), marks=pytest.mark.long, id="every-chunk")
QUICK = pytest.param((), id="some-chunk")


def chosen(chunks: range | tuple[()], point: str) -> list[int]:
    """Which chunks the fault meets: all, or one that differs from point to point."""
    return list(chunks) or [Random(point).randint(1, CHUNKS)]


@pytest.mark.parametrize("chunks", [QUICK, LONG])
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_at_each_step(engine: str, chunks: range | tuple[()], arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas(engine)
    arena.add_live()
    for point in POINTS:
        for nth in chosen(chunks, point):
            arena.add_due()
            victim = start(arena, nursery, Fault("kill", point, nth))
            assert victim.wait() == -signal.SIGKILL, victim.story()
            assert victim.fired()
            finish(arena, nursery, victim)


@pytest.mark.parametrize("chunks", [QUICK, LONG])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_at_each_step(engine: str, chunks: range | tuple[()], arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas(engine)
    arena.add_live()
    for point in POINTS:
        for nth in chosen(chunks, point):
            arena.add_due()
            victim = start(arena, nursery, Fault("raise", point, nth, what="ENOSPC"))
            victim.wait()
            assert victim.fired()
            assert victim.wait() > 0 or point.startswith("commit"), victim.story()
            finish(arena, nursery, victim)


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_while_settling(engine: str, arenas: Arenas, nursery: Nursery) -> None:
    """A run dies, the next one dies while it finds out what became of it, and the third one knows."""
    arena = arenas(engine)
    arena.add_live()
    for first in ("intent.after", "commit.after"):
        for second in ("settle.before", "settle.after"):
            arena.add_due()
            victim = start(arena, nursery, Fault("kill", first, Random(first + second).randint(1, CHUNKS)))
            assert victim.wait() == -signal.SIGKILL, victim.story()
            heir = start(arena, nursery, Fault("kill", second, 1))
            assert heir.wait() == -signal.SIGKILL, heir.story()
            assert heir.fired()
            finish(arena, nursery, heir)


@pytest.mark.parametrize("chunks", [QUICK, LONG])
@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_at_each_step_while_another_runs(
    engine: str, chunks: range | tuple[()], arenas: Arenas, nursery: Nursery
) -> None:
    arena = arenas(engine)
    arena.add_live()
    for point in POINTS:
        for nth in chosen(chunks, point):
            arena.add_due()
            frozen = start(arena, nursery, Fault("stop", point, nth))
            assert frozen.wait_frozen(), frozen.story()
            # The job that the frozen one is at; a run of all would also wait for its locks on the others' tables.
            rule = "customers" if nth <= 3 else "visits" if nth <= 6 else "letters"
            other = start(arena, nursery, rules=[f"shop/{rule}"])
            assert other.wait(30) in NOT_NOW, other.story()
            assert not frozen.over
            frozen.signal(signal.SIGCONT)
            frozen.wait()
            finish(arena, nursery, frozen)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(("fence.before", "commit.after"), id="two-points"),
        pytest.param(POINTS, marks=pytest.mark.long, id="every-point"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_while_another_runs_that_no_lock_keeps_out(
    engine: str, points: tuple[str, ...], arenas: Arenas, nursery: Nursery
) -> None:
    """As on two hosts: only the fence is between them, and what the woken one still does is in vain or the same."""
    arena = arenas(engine)
    arena.add_live()
    for point in points:
        arena.add_due()
        frozen = start(arena, nursery, Fault("stop", point, Random(point).randint(1, 3)))
        assert frozen.wait_frozen(), frozen.story()
        other = start(arena, nursery, build="no-lock", rules=["shop/customers"])
        assert other.wait(60) in (0, *NOT_NOW), other.story()
        frozen.signal(signal.SIGCONT)
        frozen.wait()
        finish(arena, nursery, frozen)
