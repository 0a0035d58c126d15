"""
A run that ends, fails or freezes before and after each step of the protocol, on each engine (C01, A15).

Runs come one after another, each settles what the one before it left, and every few of them all is looked at. The chunk
is another one each time: three jobs make chunks, of rows with children, of rows alone, and of masks.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import pytest

from tests.fault.arena import Arena
from tests.fault.orders import Fault
from tests.fault.trials import DISTINCT, ENGINES, NOT_NOW, POINTS, finish, start
from tests.fault.victims import Nursery

Arenas = Callable[..., Arena]
RULES = ("customers", "visits", "letters")
CHUNKS = 2  # of each of them, at least
BETWEEN = 4  # runs that meet a fault before one has to leave everything well

EXTENTS = [
    pytest.param(False, id="some-chunk"),
    pytest.param(True, marks=pytest.mark.long, id="every-chunk"),
]


@dataclass(frozen=True)
class Play:
    """A point that a run of one rule comes to in its nth chunk; `last` where all is looked at then."""

    point: str
    rule: str
    nth: int
    last: bool

    @property
    def rules(self) -> list[str]:
        """Of the command; the other jobs are the next run's that has to leave everything well."""
        return [f"shop/{self.rule}"]


def plays(every: bool, quick: Sequence[str] = DISTINCT) -> Iterator[Play]:
    """All points in each chunk of each rule, or the quick ones, each in one of them."""
    chunks = [(rule, nth) for rule in RULES for nth in range(1, CHUNKS + 1)]
    found = [
        (point, chunk)
        for point in (POINTS if every else quick)
        for chunk in (chunks if every else [Random(point).choice(chunks)])
    ]
    for at, (point, (rule, nth)) in enumerate(found, 1):
        yield Play(point, rule, nth, at % BETWEEN == 0 or at == len(found))


def small(arenas: Arenas, engine: str) -> Arena:
    arena = arenas(engine, chunk_rows=2)
    arena.add_live()
    return arena


def add_due(arena: Arena) -> None:
    arena.add_due(2 * CHUNKS, 2 * CHUNKS, 2 * CHUNKS)


@pytest.mark.parametrize("every", EXTENTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_at_each_step(engine: str, every: bool, arenas: Arenas, nursery: Nursery) -> None:
    arena = small(arenas, engine)
    for play in plays(every, quick=POINTS):
        add_due(arena)
        victim = start(arena, nursery, Fault("kill", play.point, play.nth), rules=play.rules)
        assert victim.wait() == -signal.SIGKILL, victim.story()
        assert victim.fired()
        if play.last:
            finish(arena, nursery, victim)


@pytest.mark.parametrize("every", EXTENTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_at_each_step(engine: str, every: bool, arenas: Arenas, nursery: Nursery) -> None:
    arena = small(arenas, engine)
    for play in plays(every):
        add_due(arena)
        victim = start(arena, nursery, Fault("raise", play.point, play.nth, what="ENOSPC"), rules=play.rules)
        # After the commit an error is of no consequence: the fence says that all is well.
        assert victim.wait() == 1 or play.point == "commit.after", victim.story()
        assert victim.fired()
        if play.last:
            finish(arena, nursery, victim)


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_while_settling(engine: str, arenas: Arenas, nursery: Nursery) -> None:
    """A run dies, the next one dies while it finds out what became of it, and the third one knows."""
    arena = small(arenas, engine)
    for first in ("intent.after", "commit.after"):
        for second in ("settle.before", "settle.after"):
            add_due(arena)
            rules = [f"shop/{Random(first + second).choice(RULES)}"]
            victim = start(arena, nursery, Fault("kill", first, 1), rules=rules)
            assert victim.wait() == -signal.SIGKILL, victim.story()
            heir = start(arena, nursery, Fault("kill", second, 1), rules=rules)
            assert heir.wait() == -signal.SIGKILL, heir.story()
            assert heir.fired()
        finish(arena, nursery, heir)


@pytest.mark.parametrize("every", EXTENTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_at_each_step_while_another_runs(engine: str, every: bool, arenas: Arenas, nursery: Nursery) -> None:
    arena = small(arenas, engine)
    for play in plays(every):
        add_due(arena)
        frozen = start(arena, nursery, Fault("stop", play.point, play.nth), rules=play.rules)
        assert frozen.wait_frozen(), frozen.story()
        # The same rule alone: a run of all would also wait for the locks that the frozen one holds in other tables.
        other = start(arena, nursery, rules=play.rules)
        assert other.wait(30) in NOT_NOW, other.story()
        assert not frozen.over
        frozen.signal(signal.SIGCONT)
        frozen.wait()
        if play.last:
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
    arena = small(arenas, engine)
    for point in points:
        add_due(arena)
        frozen = start(arena, nursery, Fault("stop", point, Random(point).randint(1, CHUNKS)))
        assert frozen.wait_frozen(), frozen.story()
        other = start(arena, nursery, build="no-lock", rules=["shop/customers"])
        assert other.wait(60) in (0, *NOT_NOW), other.story()
        frozen.signal(signal.SIGCONT)
        frozen.wait()
        finish(arena, nursery, frozen)
