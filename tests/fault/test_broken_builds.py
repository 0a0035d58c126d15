"""
Builds that are broken on purpose are caught: a suite that finds nothing must be one that would have.

Each is put through what the whole build passes, until the oracle names the fault, or the tries are over.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random

import pytest

from tests.fault.arena import Arena
from tests.fault.oracle import audit
from tests.fault.orders import Fault
from tests.fault.trials import ENGINES, start
from tests.fault.victims import Nursery
from tests.fault.writers import Writer

Arenas = Callable[..., Arena]
TRIES = 20


@pytest.mark.parametrize("engine", ENGINES)
def test_without_the_predicate_in_the_deletion(engine: str, arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas(engine, chunk_rows=5)
    arena.add_live()
    for trial in range(TRIES):
        arena.add_due(20, 200, 0)
        victim = start(arena, nursery, build="predicate")
        victim.wait_step()  # else the company has revived all before the first chunk
        with Writer(arena, seed=trial, pause=0.005, acts=("touch-visit", "reopen")):
            victim.wait()
        found = audit(arena, nursery, finished=False)
        if any(one.startswith("live ") for one in found):
            return
    pytest.fail(f"{TRIES} runs of a build that loses live rows, and nobody noticed")


@pytest.mark.parametrize("engine", ENGINES)
def test_recorded_after_the_commit(engine: str, arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas(engine, chunk_rows=2)
    arena.add_live()
    chance = Random(engine)
    for _ in range(TRIES):
        arena.add_due(4, 4, 4)
        victim = start(
            arena, nursery, Fault("kill", chance.choice(("commit.after", "intent.before")), 1), build="record"
        )
        assert victim.wait() == -signal.SIGKILL, victim.story()
        found = audit(arena, nursery, finished=False)
        if any("are gone and not recorded" in one for one in found):
            return
    pytest.fail(f"{TRIES} runs of a build that forgets what it destroyed, and nobody noticed")
