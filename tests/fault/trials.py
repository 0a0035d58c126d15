"""What the tests of faults have in common: the points, and what must be true when a fault is over."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from retentiond.engine.steps import NAMES
from tests.fault.arena import Arena
from tests.fault.oracle import audit
from tests.fault.orders import Build, Fault
from tests.fault.victims import Nursery, Victim

POINTS = tuple(name for name in NAMES if not name.startswith("settle"))
"""Before and after each step of the protocol; `settle` is recovery's own."""

DISTINCT = tuple(name for name in POINTS if name.endswith(".after") or name in ("commit.before", "outcome.before"))
"""Those with something done between each and the next; enough for a quick look."""

ENGINES = [
    pytest.param("sqlite"),
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]
SERVERS = ENGINES[1:]

# What a run says that cannot go on, because somebody else has not come to an end: the next one can.
NOT_NOW = (1, 3)


def start(arena: Arena, nursery: Nursery, *faults: Fault, build: Build = "", rules: Sequence[str] = ()) -> Victim:
    """A run that meets these faults."""
    return nursery.start(arena.folder, [*arena.run, *rules], faults=faults, build=build)


def finish(arena: Arena, nursery: Nursery, after: Victim) -> Victim:
    """The next run: it starts at once, settles what the one before left open, does the rest, and leaves nothing."""
    after.wait()
    last = start(arena, nursery)
    assert last.wait() == 0, f"{last.story()}\n\nbefore it:\n{after.story()}"
    found = audit(arena, nursery)
    assert not found, "\n".join((*found, f"after:\n{after.story()}", f"then:\n{last.story()}"))
    return last


def finish_later(arena: Arena, nursery: Nursery, after: Victim, seconds: float = 100.0) -> Victim:
    """As `finish`, where a server may need time to notice that somebody has gone."""
    deadline = time.monotonic() + seconds
    while True:
        last = start(arena, nursery)
        if last.wait() == 0:
            found = audit(arena, nursery)
            assert not found, "\n".join((*found, f"after:\n{after.story()}", f"then:\n{last.story()}"))
            return last
        assert last.wait() in NOT_NOW, last.story()
        assert time.monotonic() < deadline, f"{last.story()}\n\nbefore it:\n{after.story()}"
        time.sleep(1)
