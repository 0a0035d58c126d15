"""Others hold the locks that a run wants, or want those that it holds: deadlocks, and rows that stay locked (A19)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.fault.arena import Arena
from tests.fault.trials import ENGINES, SERVERS, finish, start
from tests.fault.victims import Nursery
from tests.fault.writers import Writer

Arenas = Callable[..., Arena]


@pytest.mark.parametrize(
    "deadlocks", [pytest.param(2, id="some"), pytest.param(200, marks=pytest.mark.long, id="two-hundred")]
)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", SERVERS)
def test_deadlocks(engine: str, deadlocks: int, arenas: Arenas, nursery: Nursery) -> None:
    """Whoever of the two is chosen to give way, it does so as a whole and begins anew."""
    arena = arenas(engine, chunk_rows=6)
    arena.add_live()
    if engine == "postgresql":  # else it looks for circles only when retentiond has given up waiting
        name = sa.make_url(arena.urls["crm"]).database
        with arena.company("crm") as connection:
            connection.exec_driver_sql(f"ALTER DATABASE \"{name}\" SET deadlock_timeout = '50ms'")
        arena.close()
    before = _deadlocks(arena)
    deadline = time.monotonic() + 30 + 5 * deadlocks
    while _deadlocks(arena) - before < deadlocks:
        assert time.monotonic() < deadline, f"only {_deadlocks(arena) - before} deadlocks"
        arena.add_due(60, 0, 0)
        victim = start(arena, nursery, rules=["shop/customers"])
        victim.wait_step()
        with (
            Writer(arena, seed=1, pause=0, acts=["cross"]),
            Writer(arena, seed=2, pause=0, acts=["cross"]),
            Writer(arena, seed=3, acts=["reopen"]),
        ):
            assert victim.wait() in (0, 1), victim.story()
    finish(arena, nursery, victim)


def _deadlocks(arena: Arena) -> int:
    """How many the server has seen; PostgreSQL tells of it a moment later."""
    asked = {
        "postgresql": "SELECT sum(deadlocks) FROM pg_stat_database",
        "mysql": "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_DEADLOCKS'",
    }
    with arena.company("crm") as connection:
        return int(connection.exec_driver_sql(asked[connection.dialect.name]).scalar_one())


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_somebody_keeps_locked(engine: str, arenas: Arenas, nursery: Nursery) -> None:
    """They are set aside, or the job is, and it says so; what is not in the way goes, and they go with the next run."""
    arena = arenas(engine, chunk_rows=4)
    arena.add_live()
    arena.add_due(12, 12, 12)
    one = min(arena.ids("customers"))
    with arena.engine("crm").connect() as other, other.begin():
        other.exec_driver_sql(f"UPDATE customers SET name = name WHERE id = {one}")
        victim = start(arena, nursery)
        assert victim.wait() == 1, victim.story()
        gone = sa.text("SELECT count(*) FROM customers")
        assert other.execute(gone).scalar_one() == (12 if engine == "sqlite" else 1)
        other.rollback()
    finish(arena, nursery, victim)
