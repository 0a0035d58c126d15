"""
Holds that race with runs: once `hold add` returns 0, nothing under the hold is destroyed any more (A02).

Against runs that live, that die, and that stand still with the gate in their hands.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from tests.fault.arena import Arena
from tests.fault.oracle import audit
from tests.fault.orders import Build, Fault
from tests.fault.races import FINE, NOT_IN_FORCE, Race
from tests.fault.trials import ENGINES, finish, start
from tests.fault.victims import Nursery, Victim

Arenas = Callable[..., Arena]

LONG = partial(pytest.param, marks=pytest.mark.long)
AT_A_TIME = 8  # holds of one process
FEWEST = 60  # rows of a table that are due, while holds are placed on some of them


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hold_is_final(engine: str, arenas: Arenas, nursery: Nursery) -> None:
    race = raced(arenas(engine, chunk_rows=3), nursery, 10)
    assert race.tally["in force"] == 10


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_thousand_holds_are_final(
    engine: str, arenas: Arenas, nursery: Nursery, pytestconfig: pytest.Config, tell: Callable[[str], None]
) -> None:
    holds = -(-pytestconfig.getoption("holds") // len(ENGINES))
    begun = time.monotonic()
    race = raced(arenas(engine, chunk_rows=3), nursery, holds)
    pace = (time.monotonic() - begun) / holds
    tell(f"{engine}: {holds} holds, {pace:.2f} s each; {dict(race.tally)}")
    assert race.tally["in force"] >= holds * 9 // 10
    assert race.tally["kept"] > 0
    assert race.tally["gone before"] > 0


def raced(arena: Arena, nursery: Nursery, holds: int, build: Build = "") -> Race:
    """Holds placed while runs go on; every third run is killed."""
    seed = Random().randrange(2**32)
    race = Race(arena, nursery, Random(seed))
    arena.add_live()
    done = turn = 0
    while done < holds:
        if min(len(arena.journal.due("visits")), len(arena.ids("customers"))) < FEWEST:
            arena.add_due(FEWEST, FEWEST, 0)
        turn += 1
        runner = start(arena, nursery, build=build)
        left = holds - done
        counts = [count for count in (min(AT_A_TIME, left), min(AT_A_TIME, left - AT_A_TIME)) if count > 0]
        holders = [race.hold_some(count) for count in counts]
        done += sum(counts)
        if turn % 3 == 0:
            runner.wait_step()
            time.sleep(race.chance.uniform(0, 0.5))
            runner.kill()
        for holder in holders:
            holder.end()
        runner.wait()
    late = race.judge()
    assert build or not late, f"seed {seed}\n{late}"
    if build:
        race.tally["late"] = len(late)
    else:
        finish(arena, nursery, runner)
    return race


@pytest.mark.parametrize("point", [LONG("intent.after"), LONG("commit.before"), "commit.after"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_hold_settles_what_a_dead_run_left(engine: str, point: str, arenas: Arenas, nursery: Nursery) -> None:
    """It is in force at once, and tells what went before."""
    arena, race, customers = _held(arenas, engine, nursery)
    dead = start(arena, nursery, Fault("kill", point, 1), rules=["shop/customers"])
    assert dead.wait() == -signal.SIGKILL, dead.story()
    held = _hold(race, customers)
    assert held.wait() == FINE, held.story()
    went = 3 if point == "commit.after" else 0
    assert len(customers) - len(arena.ids("customers")) == went
    assert ("before: 3 rows of" in held.err) == bool(went), held.story()
    assert arena.state_rows("SELECT count(*) FROM intents WHERE outcome IS NULL") == [(0,)]
    finish(arena, nursery, dead)
    assert len(customers) - len(arena.ids("customers")) == went


@pytest.mark.parametrize("point", [LONG("fence.after"), LONG("change.after"), LONG("intent.before"), "gate.before"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_stands_before_the_gate_asks_again_behind_it(
    engine: str, point: str, arenas: Arenas, nursery: Nursery
) -> None:
    """Its owner lives, has not passed the gate, and rolls back what it was about to commit."""
    arena, race, customers = _held(arenas, engine, nursery)
    frozen = start(arena, nursery, Fault("stop", point, 1), rules=["shop/customers"])
    assert frozen.wait_frozen(), frozen.story()
    held = _hold(race, customers)
    assert held.wait() == FINE, held.story()
    assert not frozen.over
    frozen.signal(signal.SIGCONT)
    assert frozen.wait() == 0, frozen.story()
    assert arena.ids("customers") == set(customers)
    finish(arena, nursery, frozen)


@pytest.mark.parametrize("point", [LONG("gate.after"), "commit.before", LONG("commit.after"), LONG("outcome.before")])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_stands_still_behind_the_gate_is_named(
    engine: str, point: str, arenas: Arenas, nursery: Nursery
) -> None:
    """Nobody can say yet: `hold add` exits non-zero with the batch, and counts for everything that comes after it."""
    arena, race, customers = _held(arenas, engine, nursery)
    frozen = start(arena, nursery, Fault("stop", point, 1), rules=["shop/customers"])
    assert frozen.wait_frozen(), frozen.story()
    held = _hold(race, customers)
    assert held.wait() == NOT_IN_FORCE, held.story()
    ((batch,),) = arena.state_rows("SELECT batch FROM intents WHERE outcome IS NULL")
    assert str(batch) in held.err, held.story()
    frozen.signal(signal.SIGCONT)
    assert frozen.wait() == 0, frozen.story()
    # What had been asked and allowed before went; the hold counts for all that asks later.
    assert len(customers) - len(arena.ids("customers")) == (0 if point == "gate.after" else 3)
    for table in ("customers", "contracts", "documents"):
        arena.journal.hold(table, arena.ids(table))
    finish(arena, nursery, frozen)


TAKEN_BACK = [
    pytest.param(["stop"], ["resume"], id="stop"),
    pytest.param(["stop", "shop/c*"], ["resume", "shop/c*"], marks=pytest.mark.long, id="stop-some"),
    pytest.param(["approve", "shop/customers", "--withdraw"], [], id="withdraw"),
]


@pytest.mark.parametrize("point", [LONG("fence.after"), LONG("intent.after"), "gate.before", LONG("gate.after")])
@pytest.mark.parametrize(("command", "undo"), TAKEN_BACK)
@pytest.mark.parametrize("engine", ENGINES[:1])
def test_what_was_allowed_is_taken_back_before_the_next_commit(
    engine: str, command: list[str], undo: list[str], point: str, arenas: Arenas, nursery: Nursery
) -> None:
    """The kill switch, and an approval (E11): behind the gate the owner asks again, here too."""
    arena, _, customers = _held(arenas, engine, nursery)
    frozen = start(arena, nursery, Fault("stop", point, 2), rules=["shop/customers"])
    assert frozen.wait_frozen(), frozen.story()
    arena.do(nursery, *command, code=1 if point == "gate.after" else 0)
    frozen.signal(signal.SIGCONT)
    assert frozen.wait() == 3, frozen.story()
    assert [name for name, _ in frozen.steps()].count("commit.after") == 1
    assert len(arena.ids("customers")) == len(customers) - 3
    if undo:
        again = start(arena, nursery)
        assert again.wait() == 3, again.story()
        assert "commit.before" not in dict(again.steps()) or command[1:], again.story()
        arena.do(nursery, *undo)
    finish(arena, nursery, frozen)


def _held(arenas: Arenas, engine: str, nursery: Nursery) -> tuple[Arena, Race, list[int]]:
    arena = arenas(engine, chunk_rows=3)
    arena.add_live()
    arena.add_due(9, 0, 0)
    return arena, Race(arena, nursery, Random(engine)), sorted(arena.ids("customers"))


def _hold(race: Race, customers: list[int]) -> Victim:
    """A hold on all of these customers; the oracle knows of those that were there when it was in force."""
    held = race.nursery.start(race.arena.folder, race.add("customer", customers))
    if held.wait() == FINE:
        for table in ("customers", "contracts", "documents"):
            race.arena.journal.hold(table, race.arena.ids(table))
    return held


@pytest.mark.parametrize("engine", ENGINES)
def test_a_build_that_asks_for_holds_once_is_caught(engine: str, arenas: Arenas, nursery: Nursery) -> None:
    for _ in range(10):
        arena = arenas(engine, chunk_rows=3)
        if raced(arena, nursery, 8, build="holds").tally["late"] or _held_are_gone(arena, nursery):
            return
    pytest.fail("80 holds against a build that forgets them, and nobody noticed")


def _held_are_gone(arena: Arena, nursery: Nursery) -> bool:
    return any(one.startswith("held ") for one in audit(arena, nursery, finished=False))
