"""A disk that is full, read-only or fails to fsync under the state store, and under a SQLite source (C03, C04, C05)."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.fault.arena import Arena
from tests.fault.orders import BEGIN, Fault
from tests.fault.trials import ENGINES, finish, start
from tests.fault.victims import Nursery

Arenas = Callable[..., Arena]

STATE, SOURCE = "/state/state.db", "/t_"  # what the paths of the two kinds of files hold
MOST_CALLS = 40
FAILURES = {
    "full": f"write:FULL:{STATE}:1000000",
    "read-only": f"write:READONLY:{STATE}:1000000",
    "fsync": f"sync:IOERR_FSYNC:{STATE}:1000000",
    "one fsync": f"sync:IOERR_FSYNC:{STATE}:1",
}
EXTENTS = [
    pytest.param((2,), id="one-chunk"),
    pytest.param((1, 3, 5), marks=pytest.mark.long, id="three-chunks"),
]


@pytest.mark.parametrize("chunks", EXTENTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_state_store_cannot_be_written(
    engine: str, chunks: tuple[int, ...], arenas: Arenas, nursery: Nursery
) -> None:
    """
    Where the intent cannot be written nothing is destroyed and everything stops; where the outcome cannot, what was
    destroyed is settled by the next run. One fsync that failed is believed: nothing is destroyed on its strength.
    """
    arena = arenas(engine, chunk_rows=2)
    arena.add_live()
    for point in ("intent.before", "outcome.before"):
        for name, what in FAILURES.items():
            for nth in chunks:
                arena.add_due(4, 4, 4)
                victim = start(arena, nursery, Fault("disk", point, nth, what=what))
                assert victim.wait() == 4, f"{name}\n{victim.story()}"
                assert victim.fired(), f"{name}\n{victim.story()}"
                assert [step for step, _ in victim.steps()].count("commit.after") == nth - (point == "intent.before")
        finish(arena, nursery, victim)


CALLS = [
    pytest.param("write:KILL", (5, 40, 75), id="killed-at-some-writes"),
    *(
        pytest.param(what, range(0, 400, step), marks=[pytest.mark.long, pytest.mark.timeout(1800)], id=name)
        for what, step, name in (
            ("write:KILL", 3, "killed-at-each-third-write"),
            ("sync:KILL", 1, "killed-at-each-fsync"),
            ("write:FULL", 3, "full-at-each-third-write"),
            ("write:IOERR_WRITE", 7, "error-at-each-seventh-write"),
            ("sync:IOERR_FSYNC", 1, "error-at-each-fsync"),
            ("truncate:IOERR_TRUNCATE", 1, "error-at-each-truncate"),
        )
    ),
]


@pytest.mark.parametrize(("what", "skips"), CALLS)
def test_the_nth_call_on_the_state_store_fails(
    what: str, skips: Sequence[int], arenas: Arenas, nursery: Nursery
) -> None:
    """Each in turn, until a run makes fewer calls than that: the next run finds all in order, or puts it in order."""
    arena = arenas("sqlite", chunk_rows=2)
    arena.add_live()
    fired = 0
    for skip in skips:
        arena.add_due(2, 4, 2)
        victim = start(arena, nursery, Fault("disk", BEGIN, 1, what=f"{what}:{STATE}:1:{skip}"))
        code = victim.wait()
        if not victim.fired():
            break
        fired += 1
        assert code == -signal.SIGKILL if what.endswith("KILL") else code >= 0, victim.story()
        if skip % 5 == 0:
            finish(arena, nursery, victim)
    finish(arena, nursery, victim)
    assert fired >= min(len(skips), 10)


@pytest.mark.parametrize(
    "function",
    ["fsync", "replace", *(pytest.param(name, marks=pytest.mark.long) for name in ("link", "open", "mkdir"))],
)
@pytest.mark.parametrize("number", ["EIO", pytest.param("ENOSPC", marks=pytest.mark.long)])
def test_the_nth_call_of_the_system_fails(function: str, number: str, arenas: Arenas, nursery: Nursery) -> None:
    """Of those that Python makes: for keys, checkpoints and their folders, which the first run makes."""
    for skip in itertools.count():
        arena = arenas("sqlite", chunk_rows=4)
        arena.add_live(4)
        arena.add_due(2, 4, 2)
        victim = start(arena, nursery, Fault("system", BEGIN, 1, what=f"{function}:{number}:{skip}"))
        victim.wait()
        finish(arena, nursery, victim)
        if not victim.fired() or skip == MOST_CALLS:
            break
    assert skip > 0


@pytest.mark.parametrize("call", ["write", "sync"])
def test_the_source_cannot_be_written(call: str, arenas: Arenas, nursery: Nursery) -> None:
    """A SQLite source whose disk fails while it commits: rolled back or committed, and known which."""
    arena = arenas("sqlite", chunk_rows=2)
    arena.add_live()
    code = "FULL" if call == "write" else "IOERR_FSYNC"
    for times in (1, 2, 1000000):
        for nth in (1, 4):
            arena.add_due(4, 4, 4)
            fault = Fault("disk", "commit.before", nth, what=f"{call}:{code}:{SOURCE}:{times}")
            victim = start(arena, nursery, fault)
            victim.wait()
            assert victim.fired(), victim.story()
        finish(arena, nursery, victim)


@pytest.mark.parametrize(
    "point", ["intent.before", "commit.before", pytest.param("outcome.before", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("engine", ENGINES)
def test_no_file_may_grow_any_more(engine: str, point: str, arenas: Arenas, nursery: Nursery) -> None:
    """The kernel itself says no (EFBIG), to the state store and to a SQLite source alike."""
    arena = arenas(engine, chunk_rows=2)
    arena.add_live()
    for nth in (1, 4):
        arena.add_due(2, 4, 2)
        # Less than any of SQLite's logs has, more than an error message takes.
        victim = start(arena, nursery, Fault("limit", point, nth, seconds=4096))
        assert victim.wait() in (1, 4), victim.story()
        assert victim.fired()
    finish(arena, nursery, victim)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB of its own; the test is skipped where nobody may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system; test_no_file_may_grow_any_more asks the kernel in another way")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_file_system_that_is_full(small_disk: Path, arenas: Arenas, nursery: Nursery) -> None:
    arena = arenas("sqlite", chunk_rows=2)
    arena.add_live()
    arena.state = small_disk / "state" / "state.db"
    arena.configure()
    arena.add_due(2, 2, 2)
    finish(arena, nursery, start(arena, nursery))
    for point in ("intent.before", "outcome.before"):
        arena.add_due(6, 6, 6)
        victim = start(arena, nursery, Fault("wait", point, 3))
        assert victim.wait_fired(), victim.story()
        _fill(small_disk / "filler")
        victim.go()
        assert victim.wait() == 4, victim.story()
        # Full still: it says so, and destroys nothing.
        again = start(arena, nursery)
        assert again.wait() == 4, again.story()
        assert "change.before" not in dict(again.steps())
        (small_disk / "filler").unlink()
        finish(arena, nursery, victim)


def _fill(file: Path) -> None:
    """Writes until there is no room left."""
    with file.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
