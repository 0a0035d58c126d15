"""A network between retentiond and its source that cuts, stalls or swallows (C02, F02), and killed servers (F01)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from tests import servers
from tests.databases import create
from tests.fault.arena import Arena
from tests.fault.cluster import Cluster
from tests.fault.orders import Fault
from tests.fault.relay import Relay, Trouble
from tests.fault.trials import NOT_NOW, POINTS, SERVERS, finish, finish_later, start
from tests.fault.victims import Nursery
from tests.fault.writers import Writer

Arenas = Callable[..., Arena]


@pytest.fixture
def relayed(arenas: Arenas) -> Iterator[Callable[[str], tuple[Arena, Relay]]]:
    """Makes an arena whose database retentiond reaches through a relay, and the company without."""
    relays: list[Relay] = []

    def make(engine: str) -> tuple[Arena, Relay]:
        arena = arenas(engine, chunk_rows=2)
        arena.add_live()
        relay = Relay(arena.urls["crm"]).__enter__()
        relays.append(relay)
        arena.configure(crm=relay.url)
        return arena, relay

    yield make
    for relay in relays:
        relay.__exit__(None, None, None)


@pytest.mark.parametrize(
    "commits",
    [pytest.param((3, 7), id="two-commits"), pytest.param(range(1, 12), marks=pytest.mark.long, id="each-commit")],
)
@pytest.mark.parametrize("trouble", ["cut-before", "cut-after", "swallow", "stall"])
@pytest.mark.parametrize("engine", SERVERS)
def test_a_commit_meets_trouble(
    engine: str,
    trouble: Trouble,
    commits: range | tuple[int, ...],
    relayed: Callable[[str], tuple[Arena, Relay]],
    nursery: Nursery,
) -> None:
    arena, relay = relayed(engine)
    arena.add_due(2, 2, 2)
    assert start(arena, nursery).wait() == 0  # what is made once has been made, and the commits are the chunks'
    for nth in commits:
        arena.add_due(4, 4, 4)
        relay.arm(trouble, nth)
        before = relay.happened[trouble]
        victim = start(arena, nursery)
        if trouble == "stall":
            _wait_for(lambda: relay.happened[trouble] > before or victim.over)  # noqa: B023 - called at once
            time.sleep(0.3)
            assert not victim.over
            relay.release()
        assert victim.wait() in (0, 1), victim.story()
        assert relay.happened[trouble] == before + 1, victim.story()
    finish(arena, nursery, victim)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", ["change.before", "intent.after", "commit.before"])
@pytest.mark.parametrize("trouble", ["hole", "stall"])
@pytest.mark.parametrize("engine", SERVERS)
def test_a_server_that_never_answers_again_is_given_up(
    engine: str, trouble: Trouble, point: str, relayed: Callable[[str], tuple[Arena, Relay]], nursery: Nursery
) -> None:
    """It gives up within a minute, says that it does not know, and a later run does."""
    arena, relay = relayed(engine)
    arena.add_due(4, 4, 4)
    victim = start(arena, nursery, Fault("wait", point, 2), rules=["shop/customers"])
    assert victim.wait_fired(), victim.story()
    relay.arm(trouble, 1)
    if point != "commit.before":
        relay.deafen()
    begun = time.monotonic()
    victim.go()
    assert victim.wait(90) in NOT_NOW, victim.story()
    assert time.monotonic() - begun < 60
    assert relay.happened[trouble] or relay.happened["deaf"]
    relay.cut()
    relay.mend()
    finish_later(arena, nursery, victim)


@pytest.mark.parametrize("engine", SERVERS)
def test_the_network_is_gone_for_a_moment_and_again(
    engine: str, relayed: Callable[[str], tuple[Arena, Relay]], nursery: Nursery
) -> None:
    arena, relay = relayed(engine)
    chance = Random(engine)
    for _ in range(2):
        arena.add_due(6, 6, 6)
        victim = start(arena, nursery)
        for _ in range(3):
            time.sleep(chance.uniform(0.05, 0.4))
            relay.cut()
            time.sleep(0.05)
            relay.mend()
        victim.wait()
    assert relay.happened["cut"] == 6
    finish_later(arena, nursery, victim)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(("change.after", "intent.after", "commit.before", "commit.after"), id="some-points"),
        pytest.param(POINTS, marks=pytest.mark.long, id="every-point"),
    ],
)
@pytest.mark.parametrize("engine", SERVERS)
def test_its_session_is_ended_at_each_step(
    engine: str, points: tuple[str, ...], arenas: Arenas, nursery: Nursery
) -> None:
    """The backend is killed by an administrator while retentiond stands at that point; it goes on when it can."""
    arena = arenas(engine, chunk_rows=2)
    arena.add_live()
    for point in points:
        arena.add_due(4, 4, 4)
        victim = start(arena, nursery, Fault("wait", point, 2))
        assert victim.wait_fired(), victim.story()
        assert _end_sessions(arena) > 0
        victim.go()
        assert victim.wait() in (0, 1), victim.story()
        finish(arena, nursery, victim)


def _end_sessions(arena: Arena) -> int:
    """Ends every session on the database but the company's own; how many there were."""
    ask = {
        "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'retentiond'",
        "mysql": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
    }
    end = {"postgresql": "SELECT pg_terminate_backend({0})", "mysql": "KILL CONNECTION {0}"}
    arena.engine("crm").dispose()
    with arena.company("crm") as connection:
        numbers = connection.exec_driver_sql(ask[connection.dialect.name]).scalars().all()
        for number in numbers:
            try:
                connection.exec_driver_sql(end[connection.dialect.name].format(number))
            except sa.exc.DBAPIError:  # it had ended by itself
                continue
    return len(numbers)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(("change.after", "commit.before", "commit.after"), id="some-points"),
        pytest.param(POINTS, marks=pytest.mark.long, id="every-point"),
    ],
)
@pytest.mark.parametrize("engine", SERVERS)
def test_the_server_is_killed_at_each_step(
    engine: servers.Kind, points: tuple[str, ...], nursery: Nursery, tmp_path: Path
) -> None:
    with _own(engine) as cluster:
        arena = _arena(cluster, tmp_path, nursery)
        for point in points:
            arena.add_due(4, 4, 4)
            victim = start(arena, nursery, Fault("wait", point, 2))
            assert victim.wait_fired(), victim.story()
            cluster.kill()
            victim.go()
            time.sleep(0.2)
            cluster.start()
            assert victim.wait() in (0, 1), victim.story()
            finish_later(arena, nursery, victim)
        arena.close()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", SERVERS)
def test_the_server_is_killed_whenever(engine: servers.Kind, nursery: Nursery, tmp_path: Path) -> None:
    """Fifty times, with a company at work; its own lost answers count for neither side."""
    chance = Random(engine)
    with _own(engine) as cluster:
        arena = _arena(cluster, tmp_path, nursery)
        for trial in range(50):
            arena.add_due(8, 8, 8)
            with Writer(arena, seed=trial, acts=("touch-visit", "touch-letter", "reopen", "new-contract")):
                victim = start(arena, nursery)
                victim.wait_step()
                time.sleep(chance.uniform(0, 0.4))
                cluster.kill()
                cluster.start()
                victim.wait()
            if trial % 5 == 4:
                finish_later(arena, nursery, victim)
        assert cluster.kills == 50
        arena.close()


def _own(engine: servers.Kind) -> Cluster:
    try:
        servers.binaries(engine)
    except servers.ServerMissingError as missing:
        pytest.skip(str(missing))
    return Cluster(engine)


def _arena(cluster: Cluster, folder: Path, nursery: Nursery) -> Arena:
    arena = Arena(folder, {"crm": create(cluster.address, "own")}, chunk_rows=2)
    arena.prepare(nursery)
    arena.add_live()
    return arena


def _wait_for(told: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.005)
