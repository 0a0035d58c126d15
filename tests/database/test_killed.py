"""kill -9 in the middle of a run: whole chunks only, the next run finishes, the first is known as interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.database.stage import LONG_AGO, Stage, inserts

POLICY = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers, cascade: [orders]}
rules:
  - {name: old, record: customer, clause: "1", keep: 10 years after closed_at, then: delete}
"""

DRIVER = """
import sys, time
from pathlib import Path
from retentiond.engine import change, gate
from tests.database.stage import Stage

folder, url, policy, point = sys.argv[1:]
stage = Stage(Path(folder), {"crm": url}, policy, chunk_rows=5)
module, name = {"deleted": (change, "destroy"), "committed": (gate, "commit")}[point]
original, calls = getattr(module, name), []

def slow(*arguments):
    result = original(*arguments)
    calls.append(1)
    if len(calls) == 3:
        print("here", flush=True)
        time.sleep(60)
    return result

setattr(module, name, slow)
stage.run()
"""


# The driver's start takes the time here, hence not every point on every engine.
@pytest.mark.parametrize(
    ("engine", "points"),
    [
        pytest.param("sqlite", ["deleted"], id="sqlite"),
        pytest.param("postgresql", ["deleted", "committed"], marks=pytest.mark.postgresql, id="postgresql"),
        pytest.param("mariadb", ["deleted"], marks=pytest.mark.mariadb, id="mariadb"),
    ],
)
def test_a_killed_run_leaves_whole_chunks_and_is_finished_by_the_next(
    engine: str, points: list[str], new_database: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_database(engine)
    with Stage(tmp_path, {"crm": url}, POLICY, chunk_rows=5) as stage:
        stage.administer(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, closed_at TIMESTAMP NULL)",
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id))",
        )
        # A chunk that is committed and not yet recorded: what the fence is for, which comes with the commit protocol.
        for point in points:
            committed, recorded = (3, 2) if point == "committed" else (2, 2)
            stage.administer(
                *inserts("customers", [{"id": number, "closed_at": LONG_AGO} for number in range(1, 31)]),
                *inserts("orders", [{"id": number, "customer_id": (number + 1) // 2} for number in range(1, 61)]),
            )
            _kill([str(tmp_path), url, POLICY, point])
            gone = 5 * committed
            _wait_for_rollback(stage)
            assert stage.ids("customers") == set(range(gone + 1, 31)), point
            assert stage.ids("orders") == set(range(2 * gone + 1, 61)), point
            first = stage.store.runs.last("shop", "old", "crm")
            assert first is not None
            assert (first.outcome, first.done) == ("interrupted", 5 * recorded), point
            (report,) = stage.run()
            assert (report.failed, report.done) == (None, 30 - gone), point
            assert stage.ids("customers") | stage.ids("orders") == set()
            assert stage.store.runs.get(first.id).outcome == "interrupted"
            second = stage.store.runs.last("shop", "old", "crm")
            assert second is not None
            assert (second.outcome, second.done) == ("done", 30 - gone)


def _kill(arguments: list[str]) -> None:
    """Run the driver until it says where it is, then end it as nobody can prevent."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.PIPE, text=True, cwd=root
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "here\n"
        driver.send_signal(signal.SIGKILL)


def _wait_for_rollback(stage: Stage) -> None:
    """The server notices that the session has gone, and gives its locks back."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            stage.administer("UPDATE orders SET customer_id = customer_id")
        except Exception:  # noqa: BLE001 - locked still
            time.sleep(0.05)
        else:
            return
