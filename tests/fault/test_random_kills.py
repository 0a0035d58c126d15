"""
Runs that are killed at any instant while the company works: the figure that the issue is judged by.

Each run has to settle what the one before it left, often enough to be killed while it does; every tenth time the
company rests, a run comes to its end, and everything is looked at.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from tests.fault.arena import Arena
from tests.fault.trials import ENGINES, finish, start
from tests.fault.victims import Nursery
from tests.fault.writers import ACTS, Writer

Arenas = Callable[..., Arena]

LOOK_AFTER = 10
AT_ONCE = 15.0  # seconds within which a run is at work, whatever the one before it left


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_at_any_instant(engine: str, arenas: Arenas, nursery: Nursery) -> None:
    killed(arenas(engine, chunk_rows=3), nursery, 8)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_at_any_instant_often(
    engine: str, arenas: Arenas, nursery: Nursery, pytestconfig: pytest.Config, tell: Callable[[str], None]
) -> None:
    kills = -(-pytestconfig.getoption("kills") // len(ENGINES))
    begun = time.monotonic()
    where = killed(arenas(engine, chunk_rows=3), nursery, kills)
    pace = (time.monotonic() - begun) / kills
    places = ", ".join(f"{point} {count}" for point, count in where.most_common())
    tell(f"{engine}: {kills} kills, {pace:.2f} s each; the last point before each: {places}")


def killed(arena: Arena, nursery: Nursery, kills: int) -> Counter[str]:
    """After which point each kill came."""
    seed = Random().randrange(2**32)
    chance = Random(seed)
    where: Counter[str] = Counter()
    committed: Counter[str] = Counter()
    arena.add_live()
    done = 0
    while done < kills:
        with Writer(arena, seed=chance.randrange(2**32)) as one, Writer(arena, seed=chance.randrange(2**32)) as two:
            for _ in range(min(LOOK_AFTER, kills - done)):
                arena.add_due(12, 12, 12)
                victim = start(arena, nursery)
                waited = time.monotonic()
                if not victim.wait_step():  # the company was faster, and nothing is due any more
                    assert victim.wait() == 0, f"seed {seed}\n{victim.story()}"
                    continue
                assert time.monotonic() - waited < AT_ONCE, f"seed {seed}\n{victim.story()}"
                time.sleep(chance.uniform(0, 0.5))
                if victim.over:
                    where["(it was through)"] += 1
                    continue
                victim.kill()
                where[victim.steps()[-1][0]] += 1
                done += 1
        committed += one.done + two.done
        finish(arena, nursery, victim)
    assert set(committed) == set(ACTS) or kills < 50, f"the company did no {set(ACTS) - set(committed)}"
    assert committed
    return where
